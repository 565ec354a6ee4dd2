/** The outgoing half of a grpc-js call, written no faster than the other side reads. */
import type { Writable } from "node:stream"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** What is done about a reader that takes nothing. */
export interface Stall {
  readonly patience: Duration.Duration
  /** Ends the call, whose end interrupts the writer. */
  readonly onStall: () => void
}

/** Writes one message, and waits while the call has more queued than it wants. */
const write = <A>(call: Writable, message: A, stall: Stall | undefined): Effect.Effect<void> =>
  Effect.suspend(() =>
    call.write(message) ? Effect.void : Effect.async<void>((resume) => {
      const timer = stall === undefined ? undefined : setTimeout(stall.onStall, Duration.toMillis(stall.patience))
      const drained = () => {
        clearTimeout(timer)
        resume(Effect.void)
      }
      call.once("drain", drained)
      // A destroyed call never drains: the watcher of the call's end interrupts or ends the writer.
      return Effect.sync(() => {
        clearTimeout(timer)
        call.off("drain", drained)
      })
    })
  )

/** Writes a stream's elements as they come, until it ends. */
export const writeAll = <A, E, R>(
  call: Writable,
  stream: Stream.Stream<A, E, R>,
  stall?: Stall
): Effect.Effect<void, E, R> => Stream.runForEach(stream, (message) => write(call, message, stall))
