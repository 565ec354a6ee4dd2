/**
 * Nodes as JSON shows them, which is also how they are kept: the wire's messages under the wire's own snake_case names,
 * 64-bit numbers as numbers, and what is unknown absent.
 */
import type { Capabilities__Output } from "../../proto/generated/orchion/v1/Capabilities.js"
import type { Node__Output } from "../../proto/generated/orchion/v1/Node.js"
import * as PlainMessage from "../../proto/PlainMessage.js"

/** The names of 64-bit fields, for the types alone: a test holds them to the descriptor. */
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
export type NodeJson = Json<Node__Output> & {
  /** Why requests are not sent to its agent address; absent when they are. */
  readonly address_problem?: string
  /** Another agent that uses its id registered from this IP address within the last 10 minutes. */
  readonly also_registered_from?: string
  /** It said goodbye: it is stale because it was stopped. */
  readonly stopped?: boolean
}

const plainCapabilities = PlainMessage.converter("orchion.v1.Capabilities")

// The type is made from the wire's type as the value is made from the wire's value.
export const ofCapabilities = (capabilities: Capabilities__Output): CapabilitiesJson =>
  plainCapabilities(capabilities) as unknown as CapabilitiesJson
