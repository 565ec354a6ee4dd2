/** Effects and Streams as grpc-js's handlers. No exception in a callback of a call ends more than that call. */
import type { EventEmitter } from "node:events"
import type { ServerHttp2Stream } from "node:http2"
import * as grpc from "@grpc/grpc-js"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Stream from "effect/Stream"
import * as GrpcError from "./GrpcError.js"
import * as ReadableCall from "./ReadableCall.js"
import * as WritableCall from "./WritableCall.js"

/** What a handler knows about the call, apart from its request. */
export interface CallContext {
  /** `host:port` of the caller. */
  readonly peer: string
  /** What the caller sent along under a name, in lower case: `authorization`. */
  readonly metadata: (name: string) => string | undefined
}

/** Where a handler writes its answer's messages itself, without a Stream's cost for each. */
export interface Outlet<A> {
  /**
   * Sends a message. `taken` is called when the transport has taken it, which it does no faster than the other side
   * reads; never, when the call is over before. A caller that takes nothing for the server's `readerPatience` loses its
   * call, and the handler is interrupted.
   */
  readonly write: (message: A, taken: () => void) => void
}

/** A handler that relays: its answer is over when its effect is. */
export interface Relaying<I, O, R> {
  readonly relay: (request: I, outlet: Outlet<O>, context: CallContext) => Effect.Effect<void, GrpcError.GrpcError, R>
}

/** Which of these a method has is settled by its definition, which `GrpcServer.serve`'s types have checked. */
export type AnyHandler<R> =
  | ((
    request: any,
    context: CallContext
  ) => Effect.Effect<unknown, GrpcError.GrpcError, R> | Stream.Stream<unknown, GrpcError.GrpcError, R>)
  | Relaying<any, unknown, R>

type Handle<R> = Exclude<AnyHandler<R>, Relaying<any, unknown, R>>

/** What the handlers of a server share. */
export interface Bridge<R> {
  readonly fork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.RuntimeFiber<A, E>
  /** How long a caller may take nothing of a stream. */
  readonly patience: Duration.Duration
}

/** What grpc-js's server calls have in common. */
type SurfaceCall = Pick<grpc.ServerUnaryCall<unknown, unknown>, "cancelled" | "getPeer" | "metadata"> & EventEmitter

type WritingCall = grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>

const toStatus = (error: GrpcError.GrpcError): Partial<grpc.StatusObject> => ({
  code: error.code,
  details: GrpcError.wireDetails(error.details)
})

/** What to answer when a handler did not succeed. Defects are logged here and only named to the peer. */
const statusOfCause = (path: string, cause: Cause.Cause<GrpcError.GrpcError>) =>
  Effect.gen(function*() {
    if (Cause.isInterruptedOnly(cause)) {
      return { code: grpc.status.UNAVAILABLE, details: "the server is shutting down" }
    }
    const failure = Cause.failureOption(cause)
    if (failure._tag === "Some") return toStatus(failure.value)
    yield* Effect.logError(`The handler of ${path} failed with a defect`, cause)
    return { code: grpc.status.INTERNAL, details: "internal error" }
  })

const contextOf = (call: SurfaceCall): CallContext => ({
  peer: call.getPeer(),
  metadata: (name) => call.metadata.get(name)[0]?.toString()
})

/** Runs a handler for as long as its call lives, then answers. */
const run = <A, R>(
  { fork }: Bridge<R>,
  path: string,
  call: SurfaceCall,
  handler: Effect.Effect<A, GrpcError.GrpcError, R>,
  answer: (exit: Exit.Exit<A, Partial<grpc.StatusObject>>) => void
) => {
  const fiber = fork(
    Effect.uninterruptibleMask((restore) =>
      Effect.matchCauseEffect(restore(handler), {
        onSuccess: (value) => Effect.sync(() => answer(Exit.succeed(value))),
        onFailure: (cause) =>
          call.cancelled
            ? Effect.void
            : Effect.map(statusOfCause(path, cause), (status) => answer(Exit.fail(status)))
      })
    )
  )
  call.on("cancelled", () => fiber.unsafeInterruptAsFork(fiber.id()))
}

const unary =
  <R>(bridge: Bridge<R>, path: string, handler: Handle<R>): grpc.handleUnaryCall<unknown, unknown> =>
  (call, callback) =>
    run(
      bridge,
      path,
      call,
      Effect.suspend(() => handler(call.request, contextOf(call)) as Effect.Effect<unknown, GrpcError.GrpcError, R>),
      Exit.match({
        onSuccess: (value) => callback(null, value),
        onFailure: (cause) => callback(Cause.squash(cause) as Partial<grpc.StatusObject>)
      })
    )

const answerStream = (call: WritingCall) => (exit: Exit.Exit<void, Partial<grpc.StatusObject>>) =>
  Exit.match(exit, {
    onSuccess: () => void call.end(),
    onFailure: (cause) => void call.emit("error", Cause.squash(cause))
  })

/** The HTTP/2 stream below a call: grpc-js's own calls cannot be reset from the server's side. */
const streamOf = (call: WritingCall): ServerHttp2Stream | undefined =>
  (call as unknown as { readonly call?: { readonly stream?: ServerHttp2Stream } }).call?.stream

/** Ends a call whose caller does not read: a status would wait behind what it has not read. */
const abandon = <R>(call: WritingCall, path: string, { fork, patience }: Bridge<R>) => {
  fork(
    Effect.logWarning(`Ended a call of ${path}: ${call.getPeer()} has read nothing for ${Duration.format(patience)}`)
  )
  const stream = streamOf(call)
  if (stream === undefined) call.emit("error", { code: grpc.status.ABORTED, details: "the answer was not read" })
  else stream.close(8)
}

/** Hands messages to a call's transport, and notices when its caller takes none. */
const makeOutlet = <R>(call: WritingCall, path: string, bridge: Bridge<R>): Outlet<unknown> => {
  const fail = (error: unknown) => {
    bridge.fork(Effect.logError(`The answer of ${path} failed with a defect`, Cause.die(error)))
    call.emit("error", { code: grpc.status.INTERNAL, details: "internal error" })
  }
  let untaken = 0
  const patience = setTimeout(() => {
    if (untaken > 0) abandon(call, path, bridge)
  }, Duration.toMillis(bridge.patience))
  patience.unref()
  call.on("close", () => clearTimeout(patience))
  return {
    write: (message, taken) => {
      untaken += 1
      if (untaken === 1) patience.refresh()
      call.write(message, (error: Error | null | undefined) => {
        untaken -= 1
        if (error !== null && error !== undefined) return
        if (untaken > 0) patience.refresh()
        try {
          taken()
        } catch (thrown) {
          fail(thrown)
        }
      })
    }
  }
}

const relaying =
  <R>(bridge: Bridge<R>, path: string, { relay }: Relaying<any, unknown, R>): grpc.handleServerStreamingCall<
    unknown,
    unknown
  > =>
  (call) => {
    call.on("error", () => {})
    const outlet = makeOutlet(call, path, bridge)
    run(bridge, path, call, Effect.suspend(() => relay(call.request, outlet, contextOf(call))), answerStream(call))
  }

const writeAll = <R>(
  bridge: Bridge<R>,
  path: string,
  call: WritingCall,
  answer: () => Stream.Stream<unknown, GrpcError.GrpcError, R>
) =>
  Effect.suspend(() =>
    WritableCall.writeAll(call, answer(), {
      patience: bridge.patience,
      onStall: () => abandon(call, path, bridge)
    })
  )

const serverStream =
  <R>(bridge: Bridge<R>, path: string, handler: Handle<R>): grpc.handleServerStreamingCall<unknown, unknown> =>
  (call) => {
    call.on("error", () => {})
    const answer = () => handler(call.request, contextOf(call)) as Stream.Stream<unknown, GrpcError.GrpcError, R>
    run(bridge, path, call, writeAll(bridge, path, call, answer), answerStream(call))
  }

const bidi =
  <R>(bridge: Bridge<R>, path: string, handler: Handle<R>): grpc.handleBidiStreamingCall<unknown, unknown> =>
  (
    call
  ) => {
    call.on("error", () => {})
    const requests = ReadableCall.make<unknown, GrpcError.GrpcError>(call, (tell) => {
      call.on("end", () => tell(undefined))
      call.on("cancelled", () => tell(GrpcError.fail(grpc.status.CANCELLED, "the caller cancelled the call")))
    })
    const answer = () => handler(requests, contextOf(call)) as Stream.Stream<unknown, GrpcError.GrpcError, R>
    run(bridge, path, call, writeAll(bridge, path, call, answer), answerStream(call))
  }

/** grpc-js's handler of a method. */
export const implement = <R>(
  { path, requestStream, responseStream }: Pick<
    grpc.MethodDefinition<unknown, unknown>,
    "path" | "requestStream" | "responseStream"
  >,
  handler: AnyHandler<R>,
  bridge: Bridge<R>
): grpc.UntypedServiceImplementation[string] =>
  typeof handler !== "function"
    ? relaying(bridge, path, handler)
    : requestStream
    ? bidi(bridge, path, handler)
    : responseStream
    ? serverStream(bridge, path, handler)
    : unary(bridge, path, handler)
