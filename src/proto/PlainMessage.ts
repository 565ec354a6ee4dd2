/**
 * Decoded messages as plain data: 64-bit integers as numbers instead of the decimal text that proto-loader makes of
 * them, without its `_field` markers, absent messages, and floating-point numbers that are none.
 *
 * What a field is comes from the descriptor, not from its name.
 */
import { type EnumType, type Field as ProtoField, type MessageType, messageType } from "./Definitions.js"

type Convert = (value: unknown) => unknown

interface Field {
  /** The name on the wire. */
  readonly from: string
  /** The name in the result. */
  readonly to: string
  readonly convert: Convert
}

const integers64 = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"])

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

const scalar: Convert = (value) => typeof value === "number" && !Number.isFinite(value) ? undefined : value

const isMessage = (type: MessageType | EnumType | undefined): type is MessageType =>
  type !== undefined && "fields" in type

/** The fields of a message, and of the messages in it, that are 64-bit integers: `memory_info.total_bytes`. */
export const integer64Fields = (name: string, prefix = ""): ReadonlyArray<string> => {
  const fields = (type: MessageType, path: string): ReadonlyArray<string> =>
    type.fields.flatMap((field, index) => {
      const inner = type.types[index]
      if (isMessage(inner)) return fields(inner, `${path}${field.name}.`)
      return integers64.has(field.type) ? [`${path}${field.name}`] : []
    })
  return fields(messageType(name), prefix)
}

/**
 * The conversion of one type of message by its full name, `orchion.v1.Capabilities`. `rename` makes the names of the
 * result out of the wire's; keys of maps are left as they are. Fields that the descriptor does not know are left out.
 */
export const converter = (
  name: string,
  rename: (field: string) => string = (field) => field
): (message: object) => Readonly<Record<string, unknown>> => {
  const known = new Map<MessageType, ReadonlyArray<Field>>()

  const ofElement = (field: ProtoField, inner: MessageType | EnumType | undefined): Convert => {
    if (integers64.has(field.type)) return Number
    return isMessage(inner) ? (value) => isRecord(value) ? convert(inner, value) : undefined : scalar
  }

  const ofField = (field: ProtoField, inner: MessageType | EnumType | undefined): Convert => {
    const element = ofElement(field, inner)
    if (field.map) {
      return (value) =>
        isRecord(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, element(item)])) : value
    }
    return field.repeated ? (value) => Array.isArray(value) ? value.map(element) : value : element
  }

  const fieldsOf = (type: MessageType): ReadonlyArray<Field> => {
    const before = known.get(type)
    if (before !== undefined) return before
    const fields: Array<Field> = []
    // Before its fields are looked at, since a message may hold itself.
    known.set(type, fields)
    type.fields.forEach((field, index) => {
      fields.push({ from: field.name, to: rename(field.name), convert: ofField(field, type.types[index]) })
    })
    return fields
  }

  const convert = (type: MessageType, message: Readonly<Record<string, unknown>>) => {
    const result: Record<string, unknown> = {}
    for (const { convert, from, to } of fieldsOf(type)) {
      const value = message[from]
      if (value === undefined || value === null) continue
      const converted = convert(value)
      if (converted !== undefined) result[to] = converted
    }
    return result
  }

  return (message) => convert(messageType(name), message as Readonly<Record<string, unknown>>)
}
