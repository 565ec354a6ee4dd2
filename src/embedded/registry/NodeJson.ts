/**
 * Nodes as JSON shows them, which is also how they are kept: the wire's messages under the wire's own snake_case names,
 * 64-bit numbers as numbers, and what is unknown absent.
 */
import type { Capabilities__Output } from "../../proto/generated/orchion/v1/Capabilities.js"
import type { Node__Output } from "../../proto/generated/orchion/v1/Node.js"

/** The names of 64-bit fields: they arrive as decimal text. */
type Is64Bit = `${string}_bytes` | `${string}_seconds` | `${string}_unix`

/** A wire message as JSON. */
export type Json<Message> = Message extends ReadonlyArray<infer Item> ? Array<Json<Item>>
  : Message extends object ? JsonObject<Message>
  : Message

type JsonObject<Message> =
  & {
    [Key in keyof Message as Key extends `_${string}` ? never : null extends Message[Key] ? never : Key]: Key extends
      Is64Bit ? number : Json<Message[Key]>
  }
  & {
    [Key in keyof Message as null extends Message[Key] ? Key : never]?: Json<NonNullable<Message[Key]>>
  }

export type CapabilitiesJson = Json<Capabilities__Output>

/** A node of the registry. Its times are the orchestrator's own: seconds since 1970. */
export type NodeJson = Json<Node__Output>

const is64Bit = (name: string) => name.endsWith("_bytes") || name.endsWith("_seconds") || name.endsWith("_unix")

const isKnown = (value: unknown) => value !== null && !(typeof value === "number" && !Number.isFinite(value))

const fieldOf = (name: string, value: unknown): unknown =>
  // The one map of the wire: its keys are the user's, whatever they look like.
  name === "labels" ? value : is64Bit(name) ? Number(value) : jsonOf(value)

/** Leaves out proto-loader's `_field` markers, absent messages, and numbers that are none. */
const jsonOf = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(jsonOf)
    : typeof value === "object" && value !== null
    ? Object.fromEntries(
      Object.entries(value)
        .filter(([name, item]) => !name.startsWith("_") && isKnown(item))
        .map(([name, item]) => [name, fieldOf(name, item)])
    )
    : value

// The type is made from the wire's type as the value is made from the wire's value.
export const ofCapabilities = (capabilities: Capabilities__Output): CapabilitiesJson =>
  jsonOf(capabilities) as CapabilitiesJson
