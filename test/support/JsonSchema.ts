/** As much of JSON Schema (draft 7) as the schema of the capabilities uses. A word that it does not know is an error. */

interface Schema {
  readonly [word: string]: unknown
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const types: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number",
  integer: Number.isInteger
}

const told = new Set(["$schema", "$defs", "title", "description"])

/** Where a value is not what a schema says; empty when it is. Properties that the schema does not name are told too. */
export const problems = (root: Schema, value: unknown): ReadonlyArray<string> => {
  const found: Array<string> = []
  const look = (schema: Schema, value: unknown, at: string): void => {
    const expect = (holds: boolean, what: string) => {
      if (!holds) found.push(`${at}: ${what}: ${JSON.stringify(value)}`)
    }
    for (const [word, meaning] of Object.entries(schema)) {
      if (told.has(word)) continue
      switch (word) {
        case "$ref": {
          const name = String(meaning).replace("#/$defs/", "")
          look((root["$defs"] as Record<string, Schema>)[name] ?? { missing: name }, value, at)
          break
        }
        case "allOf": {
          for (const part of meaning as ReadonlyArray<Schema>) look(part, value, at)
          break
        }
        case "type": {
          expect(types[String(meaning)]?.(value) === true, `is no ${meaning}`)
          break
        }
        case "enum": {
          expect((meaning as ReadonlyArray<unknown>).includes(value), "is none of the choices")
          break
        }
        case "minimum": {
          expect(typeof value !== "number" || value >= Number(meaning), `is below ${meaning}`)
          break
        }
        case "exclusiveMinimum": {
          expect(typeof value !== "number" || value > Number(meaning), `is not above ${meaning}`)
          break
        }
        case "minLength": {
          expect(typeof value !== "string" || value.length >= Number(meaning), "is too short")
          break
        }
        case "required": {
          for (const name of meaning as ReadonlyArray<string>) {
            expect(!isObject(value) || name in value, `has no ${name}`)
          }
          break
        }
        case "properties": {
          if (!isObject(value)) break
          for (const [name, item] of Object.entries(value)) {
            const property = (meaning as Record<string, Schema>)[name]
            if (property === undefined) found.push(`${at}: does not say what ${name} is`)
            else look(property, item, `${at}.${name}`)
          }
          break
        }
        case "items": {
          if (!Array.isArray(value)) break
          value.forEach((item, index) => look(meaning as Schema, item, `${at}[${index}]`))
          break
        }
        default:
          found.push(`${at}: the schema says ${word}, which is not understood here`)
      }
    }
  }
  look(root, value, "$")
  return found
}
