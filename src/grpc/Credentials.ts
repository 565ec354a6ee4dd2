/**
 * What the two sides of a connection show each other, and what goes along with each call. Plain text is the default, as it is
 * everywhere in the field; TLS and tokens are further values of these types.
 */
import * as grpc from "@grpc/grpc-js"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"

/** A client's side. */
export interface ClientCredentials {
  /** Whether connections are encrypted: decides which of the environment's proxies they go through. */
  readonly secure: boolean
  /** Made for each client, so that what has changed on disk is used by the next connection. */
  readonly channel: () => grpc.ChannelCredentials
  /**
   * Sent with every call, in lower case: `authorization`. Asked at each call, and may not block. grpc-js's own call credentials
   * do not work in plain text.
   */
  readonly metadata?: () => Readonly<Record<string, string>>
}

export const plainText: ClientCredentials = { secure: false, channel: () => grpc.credentials.createInsecure() }

/** A server's side. */
export interface ServerCredentials {
  readonly server: () => grpc.ServerCredentials
}

export const plainTextServer: ServerCredentials = { server: () => grpc.ServerCredentials.createInsecure() }

/** Metadata for the calls of a fiber and its children, such as a trace's id: names in lower case. */
export const callMetadata: FiberRef.FiberRef<Readonly<Record<string, string>>> = globalValue(
  Symbol.for("@orchion/node-agent/grpc/callMetadata"),
  () => FiberRef.unsafeMake<Readonly<Record<string, string>>>({})
)
