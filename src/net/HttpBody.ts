/** The body of an HTTP message, read at the reader's pace. */
import type * as http from "node:http"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { guarded } from "../effect/Callback.js"

/** The connection ended before the body did, or reading it failed. */
export class BodyLost extends Data.TaggedError("BodyLost")<{
  readonly cause: unknown
}> {
  override get message(): string {
    return "the connection was lost before the answer was complete"
  }
}

type End = { readonly complete: true } | { readonly complete: false; readonly cause: unknown }

/**
 * The body's next chunk; `undefined` at its end. Chunks are those of the socket, at most some 64 KiB; unread data slows
 * the peer down. One read at a time; a read may be interrupted and repeated. Node reports a lost connection by
 * `aborted`, `error` or only `close`, depending on the phase: each fails the read.
 */
export const reader = (body: http.IncomingMessage): Effect.Effect<Effect.Effect<Uint8Array | undefined, BodyLost>> =>
  Effect.sync(() => {
    let end: End | undefined
    let wake: (() => void) | undefined
    const finish = (how: End) => {
      end ??= how
      wake?.()
    }
    const lose = (cause: unknown) => {
      finish({ complete: false, cause })
      body.destroy()
    }
    const on = (event: string, handler: (...args: ReadonlyArray<unknown>) => void) =>
      body.on(event, guarded(handler, lose))
    on("readable", () => wake?.())
    on("end", () => finish(body.complete ? { complete: true } : { complete: false, cause: undefined }))
    on("aborted", () => finish({ complete: false, cause: undefined }))
    // Stays until the body ends: an `error` without a listener would end the process.
    on("error", (cause) => finish({ complete: false, cause }))
    on(
      "close",
      () => finish(body.complete && body.readableEnded ? { complete: true } : { complete: false, cause: undefined })
    )
    if (body.destroyed) finish({ complete: false, cause: undefined })
    return Effect.async<Uint8Array | undefined, BodyLost>((resume) => {
      const attempt = () => {
        const chunk = body.read() as Uint8Array | null
        if (chunk === null && end === undefined) return
        wake = undefined
        if (chunk !== null) return resume(Effect.succeed(chunk))
        resume(
          end === undefined || end.complete
            ? Effect.succeed(undefined)
            : Effect.fail(new BodyLost({ cause: end.cause }))
        )
      }
      const fail = (cause: unknown) => {
        wake = undefined
        lose(cause)
        resume(Effect.fail(new BodyLost({ cause })))
      }
      wake = guarded(attempt, fail)
      wake()
      return Effect.sync(() => {
        wake = undefined
      })
    })
  })
