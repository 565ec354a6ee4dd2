import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Credentials from "../../src/grpc/Credentials.js"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import * as GrpcFailure from "../../src/grpc/GrpcFailure.js"
import { EchoService, message, serve } from "./Echo.js"
import * as Peers from "./Peers.js"

/** Sets a variable of this process's environment for as long as the scope. */
const withVariable = (name: string, value: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.env[name]
      process.env[name] = value
      return before
    }),
    (before) =>
      Effect.sync(() => {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      })
  )

const say = Effect.flatMap(
  GrpcClient.make({ address: "orchestrator.test:50051" }),
  (client) => client.unary(EchoService, "Say", message(7), { deadline: "10 seconds" })
)

describe("a call through a proxy of the environment", () => {
  it.scopedLive("reaches a server whose name only the proxy knows", () =>
    Effect.gen(function*() {
      const server = yield* serve({ Say: Effect.succeed })
      const proxy = yield* Peers.tcp((socket) =>
        socket.once("data", () => {
          const onward = net.connect(server.port, "127.0.0.1", () => {
            socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
            socket.pipe(onward).pipe(socket)
          })
          onward.on("error", () => {})
          socket.on("close", () => onward.destroy())
        })
      )
      yield* withVariable("grpc_proxy", `http://${proxy}`)
      assert.strictEqual((yield* say).number, 7)
    }))

  it.scopedLive("says which proxy refused, and how to go around it", () =>
    Effect.gen(function*() {
      const proxy = yield* Peers.tcp((socket) =>
        socket.once("data", () => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"))
      )
      yield* withVariable("grpc_proxy", `http://${proxy}`)
      const failure = GrpcFailure.of(yield* Effect.flip(say))
      assert.strictEqual(failure.kind, "proxy")
      assert.strictEqual(
        failure.reason,
        `the proxy ${proxy} (grpc_proxy) does not connect to orchestrator.test:50051: it answers 403 Forbidden; `
          + "to go there directly, add orchestrator.test to no_proxy"
      )
    }))
})

describe("what goes along with a call", () => {
  it.scopedLive("is the credentials' metadata, and that of the fiber", () =>
    Effect.gen(function*() {
      const seen: Array<string | undefined> = []
      const server = yield* serve({
        Say: (said, { metadata }) =>
          Effect.sync(() => {
            seen.push(metadata("authorization"), metadata("traceparent"))
            return said
          })
      })
      const client = yield* GrpcClient.make({
        address: `127.0.0.1:${server.port}`,
        credentials: { ...Credentials.plainText, metadata: () => ({ authorization: "Bearer t" }) }
      })
      const call = client.unary(EchoService, "Say", message(1), { deadline: "10 seconds" })
      yield* Effect.locally(call, Credentials.callMetadata, { traceparent: "00-1-2-01" })
      yield* call
      assert.deepStrictEqual(seen, ["Bearer t", "00-1-2-01", "Bearer t", undefined])
      assert.deepStrictEqual(yield* FiberRef.get(Credentials.callMetadata), {})
    }))

  it.scopedLive("fails the call as unauthenticated when it cannot be sent", () =>
    Effect.gen(function*() {
      const server = yield* serve({})
      const client = yield* GrpcClient.make({
        address: `127.0.0.1:${server.port}`,
        credentials: { ...Credentials.plainText, metadata: () => ({ authorization: "line\nbreak" }) }
      })
      const error = yield* Effect.flip(client.unary(EchoService, "Say", message(1), { deadline: "10 seconds" }))
      assert.strictEqual(error.message, "UNAUTHENTICATED: the credentials have characters that cannot be sent")
    }))
})
