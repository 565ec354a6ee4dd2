/**
 * Service definitions in the form that `@grpc/proto-loader` gives them, from the code that `npm run proto` generates:
 * preparing messages at run time is a tenth of an agent's start. A test holds the two together, byte by byte.
 */
import type { ServiceDefinition } from "@grpc/grpc-js"
import type { Reader, Writer } from "protobufjs/minimal.js"
import { messages, services } from "./generated/codec.js"

/** A field as the `.proto` has it. */
export interface Field {
  readonly name: string
  /** `uint64`, `string`, or the name of a message or an enum. */
  readonly type: string
  readonly map: boolean
  readonly repeated: boolean
}

/** An enum's values by name, and its names by value. */
export interface EnumType {
  readonly values: Readonly<Record<string, number>>
}

/** A message's generated code. */
export interface MessageType {
  /** `orchion.v1.Node`. */
  readonly name: string
  readonly fields: ReadonlyArray<Field>
  /** The message or the enum of each field, by its position. */
  readonly types: ReadonlyArray<MessageType | EnumType | undefined>
  readonly encode: (message: object, writer?: Writer) => Writer
  readonly decode: (bytes: Uint8Array | Reader) => object
  readonly fromObject: (value: object) => object
  readonly toObject: (message: object, options: typeof conversion) => object
}

interface Method {
  readonly name: string
  readonly request: MessageType
  readonly response: MessageType
  readonly requestStream: boolean
  readonly responseStream: boolean
}

/** How messages look as objects: the flags that the types were generated with. */
const conversion = { longs: String, enums: String, defaults: true, oneofs: true }

const serialize = (type: MessageType) => (value: object): Buffer => {
  const bytes = type.encode(type.fromObject(value)).finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const deserialize = (type: MessageType) => (bytes: Buffer): object => type.toObject(type.decode(bytes), conversion)

const known: Readonly<Record<string, MessageType>> = messages
const served: Readonly<Record<string, ReadonlyArray<Method>>> = services

/** The type of a message by its full name: `orchion.v1.Node`. Asking for one that is not in `proto/` is a defect. */
export const messageType = (name: string): MessageType => {
  const type = known[name]
  if (type === undefined) throw new Error(`proto/ has no message ${name}`)
  return type
}

/** The definition of a service by its full name: `orchion.v1.Orchestrator`. */
export const serviceDefinition = (name: string): ServiceDefinition => {
  const methods = served[name]
  if (methods === undefined) throw new Error(`proto/ has no service ${name}`)
  return Object.fromEntries(methods.map((method) => [method.name, {
    path: `/${name}/${method.name}`,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: serialize(method.request),
    requestDeserialize: deserialize(method.request),
    responseSerialize: serialize(method.response),
    responseDeserialize: deserialize(method.response),
    // The name of the method in a generated client.
    originalName: method.name.charAt(0).toLowerCase() + method.name.slice(1)
  }]))
}
