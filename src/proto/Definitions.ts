/**
 * Service definitions from the descriptor, in the form that `@grpc/proto-loader` gives them. Its own `fromJSON` also
 * prepares every message and a descriptor of it for reflection, which a start of the agent would wait for; here a
 * message is prepared when it is first sent or received. A test holds the two together, byte by byte.
 */
import type { ServiceDefinition } from "@grpc/grpc-js"
import protobuf from "protobufjs/light.js"
import { descriptor } from "./generated/descriptor.js"

const root = protobuf.Root.fromJSON(JSON.parse(descriptor))

/** How messages look as objects: the flags that the types were generated with. */
const conversion: protobuf.IConversionOptions = { longs: String, enums: String, defaults: true, oneofs: true }

const serializer = (find: () => protobuf.Type) => (value: object): Buffer => {
  const type = find()
  const bytes = type.encode(type.fromObject(value)).finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const deserializer = (find: () => protobuf.Type) => (bytes: Buffer): object => {
  const type = find()
  return type.toObject(type.decode(bytes), conversion)
}

const once = <A>(make: () => A): () => A => {
  let made: A | undefined
  return () => made ??= make()
}

/** The type of a message by its full name: `orchion.v1.Node`. */
export const messageType = (name: string): protobuf.Type => root.lookupType(name)

/** The definition of a service by its full name: `orchion.v1.Orchestrator`. */
export const serviceDefinition = (name: string): ServiceDefinition => {
  const service = root.lookupService(name)
  return Object.fromEntries(
    service.methodsArray.map((method) => {
      const request = once(() => service.lookupType(method.requestType))
      const response = once(() => service.lookupType(method.responseType))
      return [method.name, {
        path: `/${name}/${method.name}`,
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
        requestSerialize: serializer(request),
        requestDeserialize: deserializer(request),
        responseSerialize: serializer(response),
        responseDeserialize: deserializer(response),
        // The name of the method in a generated client.
        originalName: method.name.charAt(0).toLowerCase() + method.name.slice(1)
      }]
    })
  )
}
