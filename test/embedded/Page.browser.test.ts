import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { Page } from "playwright-core"
import { Browser, missing } from "../support/Browser.js"
import * as Nodes from "./Nodes.js"
import * as Running from "./Running.js"

const timeout = 60_000

const urlOf = ({ httpPort }: { readonly httpPort: number }) => `http://127.0.0.1:${httpPort}/`

const sees = (page: Page, selector: string, text?: string | RegExp): Effect.Effect<void> =>
  Effect.promise(() =>
    page.locator(selector, text === undefined ? {} : { hasText: text }).first().waitFor({ timeout: 20_000 })
  )

/** Does something to the page, or asks it something. */
const on = <A>(page: Page, ask: (page: Page) => Promise<A>): Effect.Effect<A> => Effect.promise(() => ask(page))

/** Beats for a node until something else is done. */
const whileBeating = (running: Running.Running, id: string) => <A>(effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.raceFirst(effect, Effect.forever(Effect.zipRight(running.heartbeat(id), Effect.sleep("250 millis"))))

/** Waits until an expression of the page's own JavaScript is true. The page's policy forbids playwright to do so in it. */
const becomes = (page: Page, expression: string) =>
  on(page, (page) => page.evaluate<boolean>(expression)).pipe(
    Effect.repeat({ until: (isTrue) => isTrue, schedule: Schedule.spaced("50 millis") }),
    Effect.timeoutFail({ duration: "20 seconds", onTimeout: () => new Error(`never true: ${expression}`) }),
    Effect.orDie
  )

/** The least contrast of the text in the page against what is behind it, and where that is. */
const leastContrast = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })
  const read = (color) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data
    return { r, g, b, a: a / 255 }
  }
  const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a),
    g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a),
    a: 1
  })
  const behind = (element) => {
    if (element === null) return { r: 255, g: 255, b: 255, a: 1 }
    const own = read(getComputedStyle(element).backgroundColor)
    return own.a === 1 ? own : over(own, behind(element.parentElement))
  }
  const luminance = ({ r, g, b }) => [r, g, b]
    .map((c) => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
  let least = { ratio: 21, where: "" }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    if (walker.currentNode.data.trim() === "" || !element.checkVisibility()) continue
    const back = behind(element)
    const [a, b] = [luminance(over(read(getComputedStyle(element).color), back)), luminance(back)]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < least.ratio) least = { ratio, where: element.className + ": " + walker.currentNode.data }
  }
  return least
})()`

/** What reaches beyond the window's edge, and is not cut off there. */
const tooWide = `[...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => {
    for (let above = element; above !== null; above = above.parentElement) {
      if (getComputedStyle(above).overflowX === "hidden") return false
    }
    return true
  })
  .map((element) => element.tagName + "." + element.className)`

/** Words of no more than 20 letters that are broken over two lines, which happens where a column is too narrow. */
const brokenWords = `(() => {
  const broken = []
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT)
  const range = document.createRange()
  while (walker.nextNode()) {
    const node = walker.currentNode
    if (!node.parentElement.checkVisibility() || node.parentElement.closest("pre, code, .served-name") !== null) continue
    for (const { 0: word, index } of node.data.matchAll(/[A-Za-z0-9.:]{2,20}(?![^ ]|-)/g)) {
      range.setStart(node, index)
      range.setEnd(node, index + word.length)
      if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top / 4))).size > 1) broken.push(word + " in " + node.parentElement.className)
    }
  }
  return broken
})()`

/** The height of the tallest element, in pixels. */
const tallest = (selector: string) =>
  `Math.max(0, ...[...document.querySelectorAll(${JSON.stringify(selector)})].map((element) => element.clientHeight))`

describe.skipIf(missing)("the page", () => {
  layer(Browser.layer, { excludeTestServices: true, timeout })((it) => {
    it.scoped(
      "shows a node that comes, falls silent, comes back and changes, without a reload",
      () =>
        Effect.gen(function*() {
          const running = yield* Running.start({ heartbeatTimeout: "2 seconds" })
          const { complaints, page } = yield* (yield* Browser).open(urlOf(running))
          yield* sees(page, "#empty:visible", `node-agent --orchestrator 127.0.0.1:${running.port}`)
          yield* on(page, (page) => page.evaluate("window.sameDocument = true"))

          yield* running.register(Nodes.node("a", { hostname: "thinkpad", capabilities: Nodes.complete }))
          yield* whileBeating(running, "a")(sees(page, ".node[data-state=live] .hostname", "thinkpad"))
          yield* sees(page, ".node .word", "live")
          yield* becomes(page, "document.title === 'Orchion: 1 live, 1 with problems'")

          yield* sees(page, ".node[data-state=stale] .word", "stale")
          yield* sees(page, ".node time", /^[3-9] s ago/)
          yield* becomes(page, "document.title === 'Orchion: 0 live, 1 stale'")

          yield* whileBeating(running, "a")(sees(page, ".node[data-state=live] time", /^[01] s ago/))

          const renamed = Nodes.node("a", { hostname: "renamed", capabilities: Nodes.descriptions })
          yield* running.register(renamed)
          yield* sees(page, ".node .hostname", "renamed")
          yield* sees(page, ".node .cell.memory", "23.54 GB")

          assert.isTrue(yield* on(page, (page) => page.evaluate("window.sameDocument")))
          assert.deepStrictEqual(complaints, [])
        }),
      timeout
    )

    for (const [width, rowHeight] of [[1280, 180], [390, 260]] as const) {
      it.scoped(
        `shows 8 GPUs, long names and failures without breaking words, ${width} pixels wide`,
        () =>
          Effect.gen(function*() {
            const running = yield* Running.start({ heartbeatTimeout: "1 minute" })
            const { complaints, page } = yield* (yield* Browser).open(urlOf(running), { width, height: 900 })
            yield* running.register(Nodes.node("a", {
              hostname: "gpu-server-with-a-rather-long-name-07.machines.example.internal",
              capabilities: {
                ...Nodes.complete,
                gpus: Array.from({ length: 8 }, (_, index) =>
                  Nodes.gpu(index, {
                    model: "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
                    ...(index === 3 ? { healthy: false, health_problem: "It has fallen off the bus (Xid 79)" } : {})
                  })),
                engines: [{
                  name: "vllm",
                  state: "failed",
                  models: ["meta-llama/Llama-3.3-70B-Instruct-with-a-very-long-suffix-FP8-dynamic"],
                  detail: "Another program holds 61.2 GiB of GPU 3's memory: python3 (pid 4711).",
                  restarts: 12,
                  recent_log: ["torch.OutOfMemoryError: CUDA out of memory. ".repeat(5)]
                }]
              }
            }))
            yield* sees(page, "li.gpu .gpu-model", "RTX PRO 6000")
            yield* sees(page, ".node .badge.error", "1 GPU unhealthy")
            yield* sees(page, ".node .badge.error", "vllm failed")
            assert.deepStrictEqual(yield* on(page, (page) => page.evaluate(brokenWords)), [])
            assert.deepStrictEqual(yield* on(page, (page) => page.evaluate(tooWide)), [])
            assert.isBelow(yield* on(page, (page) => page.evaluate<number>(tallest("li.gpu"))), rowHeight)
            assert.deepStrictEqual(complaints, [])
          }),
        timeout
      )
    }

    it.scoped(
      "lists the nodes with problems first, sorts as asked, and adds the cluster up",
      () =>
        Effect.gen(function*() {
          const running = yield* Running.start({ heartbeatTimeout: "1 minute" })
          const { page } = yield* (yield* Browser).open(urlOf(running))
          const healthy = { ...Nodes.complete, findings: [], engines: [], gpus: [Nodes.gpu(0)] }
          yield* running.register(Nodes.node("a", { hostname: "alpha", capabilities: healthy }))
          yield* running.register(
            Nodes.node("b", { hostname: "beta", capabilities: { ...healthy, agent_version: "0.0.9" } })
          )
          yield* running.register(Nodes.node("c", {
            hostname: "gamma",
            capabilities: { ...healthy, gpus: [Nodes.gpu(1, { healthy: false, health_problem: "ECC errors" })] }
          }))
          const names = "[...document.querySelectorAll('.node .hostname')].map((name) => name.textContent).join()"
          yield* becomes(page, `${names} === "gamma,alpha,beta"`)
          yield* sees(
            page,
            "#totals",
            "3 nodes · 3 GPUs · 24.1 of 423 GiB GPU memory in use · agent versions 0.1.0 (2), 0.0.9 (1)"
          )
          yield* on(page, (page) => page.selectOption("#order", "name"))
          yield* becomes(page, `${names} === "alpha,beta,gamma"`)
          yield* on(page, (page) => page.click("[data-show=problems]"))
          yield* becomes(page, `${names} === "gamma"`)
          yield* becomes(page, "document.title === 'Orchion: 3 live, 1 with problems'")
        }),
      timeout
    )

    it.scoped("takes a node away that was dropped", () =>
      Effect.gen(function*() {
        const running = yield* Running.start({ heartbeatTimeout: "300 millis", dropAfter: "1 second" })
        const { page } = yield* (yield* Browser).open(urlOf(running))
        yield* running.register(Nodes.node("a"))
        yield* whileBeating(running, "a")(sees(page, ".node .hostname", "host-of-a"))
        yield* sees(page, "#empty:visible")
        assert.strictEqual(yield* on(page, (page) => page.locator(".node").count()), 0)
      }), timeout)

    it.scoped("shows everything that is known about a node", () =>
      Effect.gen(function*() {
        const running = yield* Running.start()
        yield* running.register(Nodes.node("2d3f1c9a-5a0e-4a8e-9a51-0d1f0cc2be11", { capabilities: Nodes.complete }))
        const { page } = yield* (yield* Browser).open(urlOf(running))
        yield* sees(page, ".node .body .gpu")
        const text = yield* on(page, (page) => page.locator(".node").innerText())
        for (
          const part of [
            "AMD EPYC 9654 96-Core Processor",
            "192 cores · 384 threads · 2 sockets",
            "307 GiB of 1.5 TiB",
            "96 of 512 GiB",
            "2 × NVIDIA H200",
            "2.2 of 141 GiB",
            "19.7 of 141 GiB",
            "13 % busy",
            "37 °C",
            "155 of 700 W",
            "1 MIG slice",
            "also used by python3 12 GiB",
            "vllm",
            "loading",
            "meta-llama/Llama-3.1-70B-Instruct",
            "loading the weights · 40 % · 1 restart",
            "NVIDIA driver: The kernel module is 570.86.15, the library 565.57.01.",
            "Restart the machine.",
            "2d3f1c9a-5a0e-4a8e-9a51-0d1f0cc2be11",
            "10.0.0.7:50052",
            "Ubuntu 24.04.1 LTS",
            "6.8.0-45-generic",
            "14 d 6 h",
            "docker 27.3.1 · GPUs ready",
            "100 Gbit/s",
            "zone=rack-7"
          ]
        ) assert.include(text, part)
        yield* on(page, (page) => page.locator(".node summary").press("Enter"))
        yield* becomes(page, "!document.querySelector('.node details').open")
      }), timeout)

    it.scoped("draws the GPUs' history from before it was opened, and continues it", () =>
      Effect.gen(function*() {
        const running = yield* Running.start()
        const usedGib = (...used: ReadonlyArray<number>) => ({
          ...Nodes.complete,
          gpus: used.map((used, index) => Nodes.gpu(index, { memory_used_bytes: used * 1024 ** 3 }))
        })
        yield* running.register(Nodes.node("a", { capabilities: usedGib(10, 20) }))
        yield* running.update("a", usedGib(40, 20))
        const { complaints, page } = yield* (yield* Browser).open(urlOf(running))
        yield* sees(page, ".node h3", "GPUs, now and over the last 1 min")
        yield* sees(page, ".gpu:nth-child(1) .curve", "Memory 10 to 40 GiB")
        yield* sees(page, ".gpu:nth-child(2) .curve", "Memory 20 GiB")
        yield* sees(page, ".gpu:nth-child(2) .curve", "Busy 13 %")
        yield* sees(page, ".gpu:nth-child(2) .curve", "Temp. 37 °C")
        yield* running.update("a", usedGib(90, 20))
        yield* sees(page, ".gpu:nth-child(1) .curve", "Memory 10 to 90 GiB")
        const drawing = page.locator(".gpu:nth-child(1) svg[role=img]").first()
        assert.match((yield* on(page, () => drawing.getAttribute("aria-label"))) ?? "", /^Memory in the last 1 min: 10/)
        assert.match(
          (yield* on(page, () => drawing.locator(".line").getAttribute("d"))) ?? "",
          /^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+)+$/
        )
        assert.deepStrictEqual(complaints, [])
      }), timeout)

    it.scoped("shows what a hostile node calls itself, and does not run it", () =>
      Effect.gen(function*() {
        const running = yield* Running.start()
        const hostile = "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>\u202e"
        const { complaints, page } = yield* (yield* Browser).open(urlOf(running), { width: 390, height: 844 })
        yield* running.register(Nodes.node("a", {
          hostname: hostile,
          capabilities: {
            ...Nodes.complete,
            agent_version: hostile,
            os: hostile,
            labels: { [hostile]: hostile, ["__proto__"]: "x" },
            gpus: [Nodes.gpu(0, { model: hostile + "x".repeat(500), health_problem: hostile, healthy: false })],
            findings: [{ code: hostile, severity: hostile, subject: hostile, message: hostile, remedy: hostile }],
            engines: [{ name: hostile, state: hostile, models: [hostile], detail: hostile, restarts: 0 }]
          }
        }))
        yield* sees(page, ".node .body .gpu")
        assert.strictEqual(yield* on(page, (page) => page.locator(".node .hostname").textContent()), hostile)
        assert.strictEqual(yield* on(page, (page) => page.locator("main img, main script").count()), 0)
        assert.isUndefined(yield* on(page, (page) => page.evaluate("window.pwned")))
        // Nor does it push anything out of the window.
        assert.deepStrictEqual(yield* on(page, (page) => page.evaluate(tooWide)), [])
        assert.deepStrictEqual(complaints, [])
      }), timeout)

    it.scoped(
      "stays quick with five thousand nodes, and has in the document only those that are looked at",
      () =>
        Effect.gen(function*() {
          const running = yield* Running.start()
          const { page } = yield* (yield* Browser).open(urlOf(running))
          yield* Effect.forEach(
            Array.from({ length: 5000 }, (_, index) => index),
            (index) =>
              running.registry.register({
                id: `id-${index}`,
                hostname: `node-${index}`,
                agentAddress: "10.0.0.1:50052"
              }),
            { discard: true }
          )
          yield* sees(page, "#count-all", "5,000")
          yield* sees(page, ".node .hostname", "node-0")
          const elements = yield* on(page, (page) => page.evaluate("document.querySelectorAll('*').length"))
          assert.isBelow(Number(elements), 3000)

          yield* on(page, (page) => page.evaluate("scrollTo(0, document.documentElement.scrollHeight)"))
          yield* sees(page, ".node .hostname", "node-4999")
          yield* on(page, (page) => page.locator("#filter").fill("NODE-123"))
          // node-123 and node-1230 to node-1239.
          yield* becomes(page, "document.querySelectorAll('.node').length === 11")
          yield* on(page, (page) => page.locator("#filter").fill("nothing like it"))
          yield* sees(page, "#nothing:visible")
          yield* on(page, (page) => page.locator("#show-all").click())
          yield* sees(page, ".node .hostname", "node-1")
          yield* running.heartbeat("id-0")
          yield* on(page, (page) => page.evaluate("scrollTo(0, 0)"))
          yield* sees(page, ".node .hostname", "node-0")
          const names = yield* on(page, (page) => page.locator(".node .hostname").allInnerTexts())
          assert.deepStrictEqual(names.slice(0, 12), Array.from({ length: 12 }, (_, index) => `node-${index}`))
        }),
      timeout
    )

    it.scoped("shows the live or the stale alone when asked to", () =>
      Effect.gen(function*() {
        const running = yield* Running.start({ heartbeatTimeout: "1 second" })
        const { page } = yield* (yield* Browser).open(urlOf(running))
        yield* running.register(Nodes.node("silent"))
        yield* running.register(Nodes.node("beating"))
        yield* whileBeating(running, "beating")(Effect.gen(function*() {
          yield* sees(page, ".node[data-state=stale] .hostname", "silent")
          yield* on(page, (page) => page.locator("[data-show=stale]").click())
          yield* becomes(page, "document.querySelectorAll('.node').length === 1")
          assert.strictEqual(yield* on(page, (page) => page.locator(".node .hostname").innerText()), "host-of-silent")
          yield* on(page, (page) => page.locator("[data-show=live]").click())
          yield* sees(page, ".node .hostname", "host-of-beating")
          assert.strictEqual(
            yield* on(page, (page) => page.locator("[data-show=live]").getAttribute("aria-pressed")),
            "true"
          )
        }))
      }), timeout)

    it.scoped(
      "says when the orchestrator is gone, and finds it again by itself, with other nodes",
      () =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const first = yield* Scope.extend(Running.start(), scope)
          yield* first.register(Nodes.node("before"))
          const { page } = yield* (yield* Browser).open(urlOf(first))
          yield* sees(page, ".node .hostname", "host-of-before")
          yield* Scope.close(scope, Exit.void)
          yield* sees(page, "#banner:visible", "Connection to the orchestrator lost")
          yield* sees(page, "#link-word", "connection lost")
          assert.strictEqual(yield* on(page, (page) => page.locator(".node").count()), 1)

          const second = yield* Running.start({ port: first.port, httpPort: first.httpPort })
          yield* second.register(Nodes.node("after"))
          yield* sees(page, ".node .hostname", "host-of-after")
          yield* becomes(page, "document.querySelectorAll('.node').length === 1")
          yield* becomes(page, "document.getElementById('banner').hidden")
        }),
      timeout
    )

    it.scoped("is readable in light and dark, and fits a phone", () =>
      Effect.gen(function*() {
        const running = yield* Running.start({ heartbeatTimeout: "1 second" })
        yield* running.register(Nodes.node("a", { capabilities: Nodes.complete }))
        yield* running.register(Nodes.node("b"))
        const { page } = yield* (yield* Browser).open(urlOf(running), { width: 390, height: 844 })
        const beats = whileBeating(running, "a")
        yield* beats(Effect.gen(function*() {
          yield* sees(page, ".node[data-state=live] .gpu")
          yield* sees(page, ".node[data-state=stale]")
          for (const colorScheme of ["light", "dark"] as const) {
            yield* on(page, (page) => page.emulateMedia({ colorScheme }))
            const least = yield* on(page, (page) =>
              page.evaluate<{ readonly ratio: number; readonly where: string }>(leastContrast))
            assert.isAtLeast(least.ratio, 4.5, `${colorScheme}: ${least.where}`)
          }
          assert.deepStrictEqual(
            yield* on(page, (page) =>
              page.evaluate(tooWide)),
            []
          )
        }))
      }), timeout)

    it.scoped("puts the cursor into the filter at the press of a slash", () =>
      Effect.gen(function*() {
        const running = yield* Running.start()
        yield* running.register(Nodes.node("a"))
        const { page } = yield* (yield* Browser).open(urlOf(running))
        yield* sees(page, ".node")
        yield* on(page, (page) => page.keyboard.press("/"))
        yield* Effect.retry(
          Effect.filterOrFail(
            on(page, (page) => page.evaluate("document.activeElement.id")),
            (id) => id === "filter"
          ),
          Schedule.intersect(Schedule.spaced("20 millis"), Schedule.recurs(100))
        )
      }), timeout)
  })
})
