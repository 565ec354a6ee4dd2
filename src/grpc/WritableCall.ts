/** The outgoing half of a grpc-js call, written no faster than the other side reads. */
import type { Writable } from "node:stream"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Writes one message, and waits while the call has more queued than it wants. */
const write = <A>(call: Writable, message: A): Effect.Effect<void> =>
  Effect.suspend(() =>
    call.write(message) ? Effect.void : Effect.async<void>((resume) => {
      const drained = () => resume(Effect.void)
      call.once("drain", drained)
      // A call that was destroyed never drains: whoever watches the call's end then interrupts or ends the writer.
      return Effect.sync(() => call.off("drain", drained))
    })
  )

/** Writes a stream's elements as they come, until it ends. */
export const writeAll = <A, E, R>(call: Writable, stream: Stream.Stream<A, E, R>): Effect.Effect<void, E, R> =>
  Stream.runForEach(stream, (message) => write(call, message))
