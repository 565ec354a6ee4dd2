/** grpc-js's client calls as Effects and Streams. No exception in a callback of a call ends more than that call. */
import type { EventEmitter } from "node:events"
import * as grpc from "@grpc/grpc-js"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Credentials from "./Credentials.js"
import type { GrpcClient, Inlet } from "./GrpcClient.js"
import * as GrpcError from "./GrpcError.js"
import * as GrpcService from "./GrpcService.js"
import * as ReadableCall from "./ReadableCall.js"
import * as WritableCall from "./WritableCall.js"

/** What the calls of a client share. */
export interface Calls {
  readonly client: grpc.Client
  /** `host:port`. */
  readonly peer: string
  /** Sent with every call. */
  readonly metadata: () => Readonly<Record<string, string>>
}

/** What a call is made with, of the fiber that makes it. */
interface Made {
  readonly metadata: grpc.Metadata
  readonly options: grpc.CallOptions
}

/** The fiber's metadata over the client's; the deadline by the fiber's clock, as the time of day that grpc-js wants. */
const prepare = (
  { metadata }: Calls,
  deadline: Duration.DurationInput | undefined
): Effect.Effect<Made, GrpcError.GrpcError> =>
  Effect.withFiberRuntime((fiber) => {
    const made = new grpc.Metadata()
    try {
      for (const [name, value] of Object.entries(metadata())) made.set(name, value)
      for (const [name, value] of Object.entries(fiber.getFiberRef(Credentials.callMetadata))) made.set(name, value)
    } catch {
      // Not with what grpc-js says of it, which has the secret in it.
      return Effect.fail(
        GrpcError.fail(grpc.status.UNAUTHENTICATED, "the credentials have characters that cannot be sent")
      )
    }
    return Effect.map(Effect.clock, (clock): Made => ({
      metadata: made,
      options: deadline === undefined
        ? {}
        : { deadline: clock.unsafeCurrentTimeMillis() + Duration.toMillis(deadline) }
    }))
  })

/** Tells how a call ended, once: at its status, which grpc-js emits last and for every call. */
const endOf = ({ peer }: Calls, call: EventEmitter, method: string) => (tell: (error?: GrpcError.GrpcError) => void) =>
  call.on("status", (status: grpc.StatusObject) =>
    tell(
      status.code === grpc.status.OK
        ? undefined
        : GrpcError.fromServiceError(status, { method, peer, idempotent: false })
    ))

/** A streaming call that is cancelled with the scope, unless it has ended. */
const open = <C extends grpc.Call & EventEmitter>(makeCall: () => C) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const call = makeCall()
        const events: EventEmitter = call
        const state = { call, isOver: false }
        // grpc-js may emit an `error` after a call is over; with no listener it would end the process.
        events.on("error", () => {})
        events.on("status", () => {
          state.isOver = true
        })
        return state
      }),
      (state) => Effect.sync(() => state.isOver ? undefined : state.call.cancel())
    ),
    ({ call }) => call
  )

export const unary =
  (calls: Calls): GrpcClient["unary"] => (service, method, request, { deadline, idempotent = false }) =>
    Effect.flatMap(prepare(calls, deadline), ({ metadata, options }) =>
      Effect.async((resume) => {
        const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
        const call = calls.client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          options,
          (error, response) =>
            resume(
              error === null
                ? Effect.succeed(response)
                : Effect.fail(GrpcError.fromServiceError(error, { method: path, peer: calls.peer, idempotent }))
            )
        )
        return Effect.sync(() => call.cancel())
      }))

export const serverStream = (calls: Calls): GrpcClient["serverStream"] => (service, method, request, callOptions) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
    const { metadata, options } = yield* prepare(calls, callOptions?.deadline)
    const call = yield* open(() =>
      calls.client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata, options)
    )
    return ReadableCall.make(call, endOf(calls, call, path))
  }))

export const receive = (calls: Calls): GrpcClient["receive"] => (service, method, request, open, callOptions) =>
  Effect.flatMap(prepare(calls, callOptions?.deadline), ({ metadata, options }) =>
    Effect.async((resume) => {
      const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
      const call = calls.client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options
      )
      call.on("error", () => {})
      const inlet: Inlet = { pause: () => void call.pause(), resume: () => void call.resume() }
      const take = open(inlet)
      let finish: (() => void) | undefined
      endOf(calls, call, path)((error) => {
        finish = () => resume(error === undefined ? Effect.void : Effect.fail(error))
        // The status overtakes messages that wait for a reader who paused.
        if (call.readableLength === 0) finish()
      })
      call.on("end", () => finish?.())
      const onData = (message: Parameters<typeof take>[0]) => {
        try {
          take(message)
        } catch (thrown) {
          call.off("data", onData)
          call.cancel()
          resume(Effect.failCause(Cause.die(thrown)))
        }
      }
      call.on("data", onData)
      return Effect.sync(() => {
        call.off("data", onData)
        call.cancel()
      })
    }))

export const bidi = (calls: Calls): GrpcClient["bidi"] => (service, method, requests, callOptions) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
    const { metadata, options } = yield* prepare(calls, callOptions?.deadline)
    const call = yield* open(() =>
      calls.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options)
    )
    const sending = WritableCall.writeAll(call, requests).pipe(
      Effect.zipRight(Effect.sync(() => call.end())),
      Stream.fromEffect,
      Stream.drain
    )
    return ReadableCall.make(call, endOf(calls, call, path)).pipe(Stream.merge(sending, { haltStrategy: "left" }))
  }))
