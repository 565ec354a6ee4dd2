/**
 * Elements described as values, and the least changes that make the document show them. What a peer sent ends up in text
 * nodes and in a fixed set of attributes: it is never parsed as HTML.
 */

export interface Element {
  readonly tag: string
  readonly attributes: Attributes
  readonly children: ReadonlyArray<Child>
}

export type Child = Element | string

export interface Attributes {
  readonly class?: string | undefined
  readonly title?: string | undefined
  readonly datetime?: string | undefined
  readonly "aria-hidden"?: "true" | undefined
  readonly "aria-label"?: string | undefined
  readonly type?: "button" | undefined
  /** What a click on it copies. */
  readonly "data-copy"?: string | undefined
  readonly "data-state"?: string | undefined
  readonly tabindex?: "0" | undefined
  /** The model that a click on it opens the chat with. */
  readonly "data-model"?: string | undefined
  readonly role?: "img" | undefined
  readonly viewBox?: string | undefined
  readonly preserveAspectRatio?: "none" | undefined
  /** The outline of a path. */
  readonly d?: string | undefined
  /** 0 to 1: how much of a bar is filled. Not an attribute, but a property of its style. */
  readonly part?: number | undefined
}

/** Describes an element; children that are not there may be given as `undefined`. */
export const h = (tag: string, attributes: Attributes, ...children: ReadonlyArray<Child | undefined>): Element => ({
  tag,
  attributes,
  children: children.filter((child) => child !== undefined)
})

/** Elements of drawings, which HTML has another kind of name for. */
const drawn = new Set(["svg", "path"])

const elementOf = (tag: string): HTMLElement | SVGElement =>
  drawn.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) as SVGElement
    : document.createElement(tag)

const patchAttributes = (element: HTMLElement | SVGElement, attributes: Attributes) => {
  for (const { name } of [...element.attributes]) {
    if (name !== "style" && (attributes as Record<string, unknown>)[name] === undefined) element.removeAttribute(name)
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "part" || value === undefined) continue
    if (element.getAttribute(name) !== value) element.setAttribute(name, value as string)
  }
  if (attributes.part !== undefined) {
    element.style.setProperty("--part", Math.min(1, Math.max(0, attributes.part)).toFixed(4))
  }
}

const create = (child: Child): Node => {
  if (typeof child === "string") return document.createTextNode(child)
  const element = elementOf(child.tag)
  patch(element, child)
  return element
}

/** Makes the children of an element those described; an element that stays keeps its focus and selection. */
export const patchChildren = (parent: HTMLElement | SVGElement, children: ReadonlyArray<Child>): void => {
  children.forEach((child, index) => {
    const current = parent.childNodes[index]
    if (current === undefined) {
      parent.append(create(child))
    } else if (typeof child === "string") {
      if (!(current instanceof Text)) current.replaceWith(create(child))
      else if (current.data !== child) current.data = child
    } else if (
      (current instanceof HTMLElement || current instanceof SVGElement) && current.localName === child.tag
    ) {
      patch(current, child)
    } else {
      current.replaceWith(create(child))
    }
  })
  while (parent.childNodes.length > children.length) parent.lastChild?.remove()
}

const patch = (element: HTMLElement | SVGElement, { attributes, children }: Element) => {
  patchAttributes(element, attributes)
  patchChildren(element, children)
}
