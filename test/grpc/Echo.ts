/** A service with a method of each kind, made from text at run time. */
import type * as grpc from "@grpc/grpc-js"
import { fromJSON } from "@grpc/proto-loader"
import type { ServiceDefinition } from "@grpc/proto-loader"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import protobuf from "protobufjs"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import type { GrpcBindError } from "../../src/grpc/GrpcServer.js"
import * as GrpcServer from "../../src/grpc/GrpcServer.js"
import * as GrpcService from "../../src/grpc/GrpcService.js"

const proto = `
  syntax = "proto3";
  package test.v1;
  message Message { int32 number = 1; bytes payload = 2; }
  service Echo {
    rpc Say(Message) returns (Message);
    rpc Count(Message) returns (stream Message);
    rpc Talk(stream Message) returns (stream Message);
  }
`

export interface Message {
  readonly number: number
  readonly payload: Uint8Array
}

type Method = grpc.MethodDefinition<Message, Message>

interface EchoDefinition {
  readonly Say: Method
  readonly Count: Method
  readonly Talk: Method
}

interface EchoHandlers {
  readonly Say: grpc.handleUnaryCall<Message, Message>
  readonly Count: grpc.handleServerStreamingCall<Message, Message>
  readonly Talk: grpc.handleBidiStreamingCall<Message, Message>
}

const definitions = fromJSON(protobuf.parse(proto, { keepCase: true }).root.toJSON(), { defaults: true })

export const EchoService = GrpcService.make<EchoDefinition, EchoHandlers>(
  "test.v1.Echo",
  definitions["test.v1.Echo"] as ServiceDefinition
)

export const message = (number: number, bytes = 0): Message => ({ number, payload: new Uint8Array(bytes) })

/** What a test's server does; methods that it leaves out say that they were not expected. */
export type Handlers = Partial<GrpcServer.Handlers<EchoHandlers>>

const unexpected = Effect.dieMessage("no call was expected")

export const serve = (
  handlers: Handlers,
  options: Partial<GrpcServer.GrpcServerOptions> = {}
): Effect.Effect<GrpcServer.GrpcServer, GrpcBindError, Scope.Scope> =>
  GrpcServer.make({ host: "127.0.0.1", port: 0, ...options }, [
    GrpcServer.serve(EchoService)({
      Say: () => unexpected,
      Count: () => Stream.fromEffect(unexpected),
      Talk: () => Stream.fromEffect(unexpected),
      ...handlers
    })
  ])

/** A server of these handlers and a client of it, both of the scope. */
export const start = (
  handlers: Handlers,
  options: Partial<GrpcServer.GrpcServerOptions> & Partial<GrpcClient.GrpcClientOptions> = {}
): Effect.Effect<GrpcClient.GrpcClient, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { port } = yield* Effect.orDie(serve(handlers, options))
    return yield* GrpcClient.make({ address: `127.0.0.1:${port}`, ...options })
  })

/** Waits until a count has stopped to rise, and answers it. */
export const settled = (count: Ref.Ref<number>): Effect.Effect<number> =>
  Effect.gen(function*() {
    const before = yield* Ref.get(count)
    yield* Effect.sleep("150 millis")
    return (yield* Ref.get(count)) === before ? before : yield* settled(count)
  })
