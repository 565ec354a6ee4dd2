/** The incoming half of a grpc-js call as a Stream. */
import type { Readable } from "node:stream"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** At most this many messages are handed on at once; grpc-js itself buffers no more than 16. */
const chunkSize = 64

/** How a call's incoming half ended: `undefined` for a good end. */
type End<E> = { readonly error: E | undefined }

/**
 * Reads a call's messages on demand, so a slow consumer slows the sender through HTTP/2's flow control. Every message
 * that arrived before the end is delivered before the end is.
 *
 * `onEnd` registers for the end of the call, which is reported once. (grpc-js may emit `error`, `end` and `close` for
 * one and the same drop, hence the single place.)
 */
export const make = <A, E>(
  call: Readable,
  onEnd: (tell: (error: E | undefined) => void) => void
): Stream.Stream<A, E> =>
  Stream.unwrap(Effect.sync(() => {
    let end: End<E> | undefined
    let wake: (() => void) | undefined
    const awaken = () => {
      const waiting = wake
      wake = undefined
      waiting?.()
    }
    onEnd((error) => {
      end ??= { error }
      awaken()
    })
    call.on("readable", awaken)

    const changed = Effect.async<void>((resume) => {
      wake = () => resume(Effect.void)
      return Effect.sync(() => {
        wake = undefined
      })
    })
    const pull: Effect.Effect<Chunk.Chunk<A>, Option.Option<E>> = Effect.suspend(() => {
      const messages: Array<A> = []
      while (messages.length < chunkSize) {
        const message: A | null = call.read()
        if (message === null) break
        messages.push(message)
      }
      if (messages.length > 0) return Effect.succeed(Chunk.unsafeFromArray(messages))
      if (end === undefined) return Effect.zipRight(changed, pull)
      return Effect.fail(end.error === undefined ? Option.none() : Option.some(end.error))
    })
    return Stream.repeatEffectChunkOption(pull)
  }))
