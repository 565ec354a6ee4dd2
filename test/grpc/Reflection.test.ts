import { assert, describe, it } from "@effect/vitest"
import * as grpc from "@grpc/grpc-js"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import protobuf from "protobufjs"
import "protobufjs/ext/descriptor/index.js"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import * as GrpcServer from "../../src/grpc/GrpcServer.js"
import * as Reflection from "../../src/grpc/Reflection.js"
import { descriptor } from "../../src/proto/generated/descriptor.js"
import type { ServerReflectionRequest } from "../../src/proto/generated/grpc/reflection/v1/ServerReflectionRequest.js"
import { ReflectionService } from "../../src/proto/OrchionV1.js"
import * as FileDescriptors from "../../src/proto/FileDescriptors.js"

const ask = (requests: ReadonlyArray<ServerReflectionRequest>) =>
  Effect.gen(function*() {
    const { port } = yield* GrpcServer.make({ host: "127.0.0.1", port: 0 }, [Reflection.make(["orchion.v1.NodeAgent"])])
    const client = yield* GrpcClient.make({ address: `127.0.0.1:${port}` })
    const answers = yield* Stream.runCollect(
      client.bidi(ReflectionService, "ServerReflectionInfo", Stream.fromIterable(requests))
    )
    return Chunk.toReadonlyArray(answers)
  })

describe("reflection", () => {
  it.scopedLive("lists the services, and hands out the file in which a symbol is", () =>
    Effect.gen(function*() {
      const [list, symbol, file] = yield* ask([
        { list_services: "" },
        { file_containing_symbol: "orchion.v1.NodeAgent.ChatCompletion" },
        { file_by_filename: "orchion/v1.proto" }
      ])
      assert.deepStrictEqual(list?.list_services_response?.service.map(({ name }) => name), [
        "orchion.v1.NodeAgent",
        "grpc.reflection.v1.ServerReflection"
      ])
      const [bytes] = symbol?.file_descriptor_response?.file_descriptor_proto ?? []
      assert.include(Buffer.from(bytes ?? []).toString("latin1"), "ChatCompletionRequest")
      assert.deepStrictEqual(file?.file_descriptor_response, symbol?.file_descriptor_response)
    }))

  it.scopedLive("says what it does not know, and continues", () =>
    Effect.gen(function*() {
      const answers = yield* ask([{ file_containing_symbol: "no.Such" }, {}, { list_services: "*" }])
      assert.deepStrictEqual(answers.map(({ error_response }) => error_response?.error_code), [
        grpc.status.NOT_FOUND,
        grpc.status.NOT_FOUND,
        undefined
      ])
    }))
})

describe("the files that reflection hands out", () => {
  it("describe every message, field and method as our descriptor does", () => {
    const set = {
      file: FileDescriptors.all().map(({ bytes }) => descriptorOf("FileDescriptorProto").decode(bytes))
    }
    const rebuilt = (protobuf.Root as unknown as { fromDescriptor: (set: object) => protobuf.Root }).fromDescriptor(set)
    rebuilt.resolveAll()
    const shape = (namespace: protobuf.Root) => {
      const found: Array<string> = []
      const visit = (item: protobuf.ReflectionObject): void => {
        // A map is a list of entries, on the wire and in a descriptor.
        if (item instanceof protobuf.Type && item.name.endsWith("Entry") && item.name !== "LogEntry") return
        if (item instanceof protobuf.Type) {
          for (const field of item.fieldsArray) {
            const type = field.resolve().resolvedType?.fullName ?? field.type
            found.push(
              `${item.fullName}.${field.name} = ${field.id}: ${
                field.map || /[.](?:Labels|Fields)Entry$/.test(type) ? "map" : `${field.repeated ? "list" : ""} ${type}`
              }`
            )
          }
        }
        if (item instanceof protobuf.Service) {
          for (const { name, requestStream, requestType, responseStream, responseType } of item.methodsArray) {
            found.push(
              `${item.fullName}.${name} ${requestType.replace(/.*\./, "")} ${requestStream === true} `
                + `${responseType.replace(/.*\./, "")} ${responseStream === true}`
            )
          }
        }
        if (item instanceof protobuf.Enum) found.push(`${item.fullName} ${JSON.stringify(item.values)}`)
        if (item instanceof protobuf.Namespace) item.nestedArray.forEach(visit)
      }
      visit(namespace)
      return found.sort()
    }
    assert.deepStrictEqual(
      shape(rebuilt),
      shape(protobuf.Root.fromJSON(JSON.parse(descriptor)).resolveAll() as protobuf.Root)
    )
  })
})

const descriptorOf = (name: string): protobuf.Type => {
  const known = (protobuf as unknown as { descriptor: Record<string, protobuf.Type> }).descriptor
  const type = known[name]
  if (type === undefined) throw new Error(`protobufjs does not describe ${name}`)
  return type
}
