/** A client of server-sent events that reads as fast, or as little, as a test wants. */
import * as http from "node:http"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import type { ServerEvents } from "../../src/embedded/http/ServerEvents.js"

/** An event by its name. */
export type Event = {
  readonly [Name in keyof ServerEvents]: { readonly name: Name; readonly data: ServerEvents[Name] }
}[
  keyof ServerEvents
]

export interface EventSource {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** Fails when the server ends the stream first. */
  readonly next: Effect.Effect<Event, "ended">
  /** The events up to and with the first of this name. */
  readonly until: (name: Event["name"]) => Effect.Effect<ReadonlyArray<Event>, "ended">
  /** Waits until the server has closed the connection. */
  readonly closed: Effect.Effect<void>
  readonly stopReading: Effect.Effect<void>
  readonly goOnReading: Effect.Effect<void>
}

const parse = (block: string): ReadonlyArray<Event> => {
  const lines = block.split("\n")
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
  const name = field("event")
  // What the server sends is of this type.
  return name === undefined ? [] : [{ name, data: JSON.parse(field("data") ?? "null") } as Event]
}

export const open = (port: number, path = "/api/events"): Effect.Effect<EventSource, never, Scope.Scope> =>
  Effect.gen(function*() {
    const events = yield* Mailbox.make<Event, "ended">()
    const response = yield* Effect.acquireRelease(
      Effect.async<http.IncomingMessage>((resume) => {
        const request = http.get(
          { host: "127.0.0.1", port, path, agent: false },
          (response) => resume(Effect.succeed(response))
        )
        request.on("error", (error) => resume(Effect.die(error)))
      }),
      (response) => Effect.sync(() => response.destroy())
    )
    let rest = ""
    let isClosed = false
    response.setEncoding("utf8")
    response.on("data", (part: string) => {
      const blocks = (rest + part).split("\n\n")
      rest = blocks.pop() ?? ""
      for (const event of blocks.flatMap(parse)) events.unsafeOffer(event)
    })
    response.on("error", () => {})
    response.on("close", () => {
      isClosed = true
      events.unsafeDone(Exit.fail("ended"))
    })
    const next = Effect.mapError(events.take, () => "ended" as const)
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      next,
      until: (name) => {
        const collect = (before: ReadonlyArray<Event>): Effect.Effect<ReadonlyArray<Event>, "ended"> =>
          Effect.flatMap(
            next,
            (event) => event.name === name ? Effect.succeed([...before, event]) : collect([...before, event])
          )
        return collect([])
      },
      closed: Effect.async((resume) => {
        if (isClosed) resume(Effect.void)
        else response.once("close", () => resume(Effect.void))
      }),
      stopReading: Effect.sync(() => void response.pause()),
      goOnReading: Effect.sync(() => void response.resume())
    }
  })
