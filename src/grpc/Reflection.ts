/** gRPC's reflection service: with it grpcurl, Postman and the like need no `.proto` files. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { FileDescriptor } from "../proto/FileDescriptors.js"
import type { ServerReflectionRequest__Output } from "../proto/generated/grpc/reflection/v1/ServerReflectionRequest.js"
import type { ServerReflectionResponse } from "../proto/generated/grpc/reflection/v1/ServerReflectionResponse.js"
import { ReflectionService } from "../proto/OrchionV1.js"
import { oneLine } from "../text/Printable.js"
import * as GrpcError from "./GrpcError.js"
import * as GrpcServer from "./GrpcServer.js"

const notFound = (what: string): ServerReflectionResponse => ({
  error_response: { error_code: GrpcError.Status.NOT_FOUND, error_message: `there is no ${oneLine(what, 200)} here` }
})

const fileOf = (found: FileDescriptor | undefined, what: string): ServerReflectionResponse =>
  found === undefined
    ? notFound(what)
    : { file_descriptor_response: { file_descriptor_proto: [Buffer.from(found.bytes)] } }

const answer = (
  services: ReadonlyArray<string>,
  files: ReadonlyArray<FileDescriptor>,
  { file_by_filename: file, file_containing_symbol: symbol, message_request: asked }: ServerReflectionRequest__Output
): ServerReflectionResponse => {
  switch (asked) {
    case "list_services":
      return { list_services_response: { service: services.map((name) => ({ name })) } }
    case "file_containing_symbol":
      return fileOf(files.find(({ symbols }) => symbols.has(symbol ?? "")), `symbol ${symbol}`)
    case "file_by_filename":
      return fileOf(files.find(({ name }) => name === file), `file ${file}`)
    default:
      return notFound("such extension")
  }
}

/** Describes these services, by their full names, and itself. */
export const make = (names: ReadonlyArray<string>): GrpcServer.ServedService<never> => {
  const services = [...names, ReflectionService.name]
  // Loaded for the first that asks.
  const files = Effect.promise(() => import("../proto/FileDescriptors.js"))
  return GrpcServer.serve(ReflectionService)({
    ServerReflectionInfo: (requests) =>
      Stream.mapEffect(requests, (asked) =>
        Effect.map(files, ({ all }) => ({
          valid_host: asked.host,
          original_request: asked,
          ...answer(services, all(), asked)
        })))
  })
}
