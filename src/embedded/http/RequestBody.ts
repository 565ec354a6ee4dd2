/** Request bodies: whole, as text, and bounded in the memory that all of them hold together. */
import type { IncomingMessage } from "node:http"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Bytes from "../../text/Bytes.js"

/** The largest body, as the agents and the gRPC services take it. */
export const maxBodyBytes = 16 * 1024 * 1024

/** Bytes of all bodies that are received, or whose requests are not answered yet. */
const maxHeldBytes = 96 * 1024 * 1024

/** Larger bodies may use three quarters of it, so that a few of them leave room for others. */
const smallBody = 1024 * 1024

/** JSON values in one body: each takes far more memory than its text. */
const maxValues = 1_000_000

/** A client that sends less than this per second on average, after a minute, only keeps its place. */
const minBytesPerSecond = 1024
const slowAfterMillis = 60_000

/** The body is not read to its end. */
export class BodyRefused extends Data.TaggedError("BodyRefused")<{
  readonly status: 408 | 413 | 429
  readonly message: string
}> {}

export interface BodyGate {
  /** Reads a body, and holds its bytes until `use` is done with what came of it. */
  readonly read: <A, E, R>(
    request: IncomingMessage,
    use: (body: string) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | BodyRefused, R>
}

const tooLarge = new BodyRefused({ status: 413, message: `the request is larger than ${Bytes.format(maxBodyBytes)}` })
const tooSlow = new BodyRefused({
  status: 408,
  message: `the request's body arrives at less than ${Bytes.format(minBytesPerSecond)} per second`
})
const tooDeep = new BodyRefused({
  status: 413,
  message: `the request's body has more than ${maxValues} JSON values`
})

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openBracket = 0x5b
const openBrace = 0x7b

/** Whether a JSON text has more values than are taken: as many as there are commas and brackets outside of strings. */
export const hasTooManyValues = (bytes: Buffer, limit = maxValues): boolean => {
  // Each takes two bytes at least.
  if (bytes.length < limit) return false
  let count = 0
  let isString = false
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (isString) {
      if (byte === backslash) index++
      else if (byte === quote) isString = false
    } else if (byte === quote) isString = true
    else if (byte === comma || byte === openBracket || byte === openBrace) count++
  }
  return count > limit
}

/** Resolves with the chunks; `take` returns whether there is room for that many more bytes. */
const receive = (
  request: IncomingMessage,
  take: (size: number, bytes: number) => BodyRefused | undefined,
  now: () => number
): Effect.Effect<Buffer, BodyRefused> =>
  Effect.async((resume) => {
    const startedAt = now()
    let chunks: Array<Buffer> = []
    let size = 0
    const stop = (refused: BodyRefused) => {
      chunks = []
      request.off("data", onData)
      // What still comes is read and dropped, so that the answer reaches a client that is still sending.
      request.resume()
      resume(Effect.fail(refused))
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      const millis = now() - startedAt
      const refused = millis > slowAfterMillis && (size / millis) * 1000 < minBytesPerSecond
        ? tooSlow
        : take(size, chunk.length)
      if (refused !== undefined) return stop(refused)
      chunks.push(chunk)
    }
    if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) return stop(tooLarge)
    request.on("data", onData)
    request.on("end", () => resume(Effect.succeed(Buffer.concat(chunks, size))))
    // A request that breaks off needs no answer: the end of its connection interrupts this.
    request.on("error", () => {})
  })

/** `maxHeld` is in bytes, default 96 MiB. */
export const make = (maxHeld = maxHeldBytes): Effect.Effect<BodyGate> =>
  Effect.sync(() => {
    let held = 0
    const tooMany = new BodyRefused({
      status: 429,
      message: `the requests in flight hold the ${Bytes.format(maxHeld)} that this orchestrator keeps; retry later`
    })
    return {
      read: (request, use) =>
        Effect.acquireUseRelease(
          Effect.sync(() => ({ bytes: 0 })),
          (own) =>
            Effect.flatMap(Effect.clock, (clock) =>
              receive(
                request,
                (size, more) => {
                  if (size > maxBodyBytes) return tooLarge
                  if (held + more > (size <= smallBody ? maxHeld : maxHeld * 0.75)) return tooMany
                  held += more
                  own.bytes += more
                  return undefined
                },
                () => clock.unsafeCurrentTimeMillis()
              )).pipe(
                Effect.flatMap((bytes) =>
                  hasTooManyValues(bytes) ? Effect.fail(tooDeep) : Effect.succeed(bytes.toString("utf8"))
                ),
                Effect.flatMap(use)
              ),
          (own) =>
            Effect.sync(() => {
              held -= own.bytes
            })
        )
    }
  })
