import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Logger from "effect/Logger"
import * as Logging from "../../src/cli/Logging.js"

const id = "0d4f6c1e-1111-4222-8333-444455556666"

/** What a logger writes. */
const written = (make: (write: (line: string) => void) => Logger.Logger<unknown, void>, log: Effect.Effect<void>) => {
  const lines: Array<string> = []
  return log.pipe(
    Effect.provide(Logger.replace(Logger.defaultLogger, make((line) => void lines.push(line)))),
    Effect.map(() => lines.join(""))
  )
}

describe("the log for programs", () => {
  it.effect("has annotations as fields beside time, level and message, and no name twice", () =>
    Effect.gen(function*() {
      const line = yield* written(
        Logging.jsonLogger,
        Effect.logWarning("Lost").pipe(
          Effect.annotateLogs({ "node.id": id, attempt: 3, level: "mine", nested: { a: [1] } })
        )
      )
      const fields = JSON.parse(line)
      assert.deepStrictEqual(Object.keys(fields), [
        "time",
        "level",
        "message",
        "attempt",
        "level_",
        "nested",
        "node.id"
      ])
      assert.deepInclude(fields, { level: "warn", message: "Lost", attempt: 3, "node.id": id, nested: "{\"a\":[1]}" })
    }))

  it.effect("is one line of JSON whatever is logged, and nothing that a terminal obeys", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.string({ unit: "binary" }), FastCheck.anything(), (text, value) =>
          Effect.runPromise(Effect.map(
            written(Logging.jsonLogger, Effect.annotateLogs(Effect.logInfo(text, value), { [text]: value, text })),
            (line) => {
              assert.notMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/)
              JSON.parse(line)
            }
          ))),
        { numRuns: 100 }
      )
    ))
})

describe("the log for people", () => {
  const pretty = (write: (line: string) => void) => Logging.prettyLogger(false, write)

  it.effect("shows the engine and the job, and ids short", () =>
    Effect.gen(function*() {
      const line = yield* written(
        pretty,
        Effect.logInfo(`Registered as node ${id} (${id}), GPU-${id}`).pipe(
          Effect.annotateLogs({ "node.id": id, engine: "vllm", job: id, event: "registered", loop: "session" })
        )
      )
      assert.match(
        line,
        /^\d\d:\d\d:\d\d info {2}Registered as node 0d4f6c1e \(0d4f6c1e\), GPU-0d4f6c1e-1111-\S+ engine=vllm job=0d4f6c1e\n$/
      )
    }))

  it.effect("obeys nothing that is logged", () =>
    Effect.map(
      written(pretty, Effect.logInfo("a\u001b[2J\u0085\u202eb\nc")),
      (line) => assert.match(line, /info {2}a b c\n$/)
    ))
})
