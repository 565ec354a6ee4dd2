import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as TestClock from "effect/TestClock"
import type { Dispatcher } from "../../../src/embedded/dispatch/Dispatcher.js"
import * as Jobs from "../../../src/embedded/jobs/Jobs.js"
import * as GrpcError from "../../../src/grpc/GrpcError.js"
import { methodOf } from "../../../src/grpc/GrpcService.js"
import { OrchionLLMService } from "../../../src/proto/OrchionV1.js"

type Make = Dispatcher["embeddings"]

/** Jobs for embeddings, of a model that says how it goes. */
const start = (embeddings: Make, options: Jobs.JobsOptions = {}) =>
  Effect.map(
    Jobs.make({ chat: () => Effect.never, embeddings, served: Effect.succeed({ served: [] }) }, options),
    (jobs) => ({
      submit: (job_id: string, model: string) =>
        jobs.submit({
          job_id,
          job_type: "JOB_TYPE_EMBEDDINGS",
          payload: methodOf(OrchionLLMService, "Embeddings").requestSerialize({ model, input: ["a"] })
        }),
      /** Once it is over. */
      over: (id: string) =>
        Effect.gen(function*() {
          while (true) {
            const job = yield* jobs.status(id)
            if (job.status === "JOB_STATUS_FAILED" || job.status === "JOB_STATUS_COMPLETED") return job
            yield* Effect.yieldNow()
          }
        })
    })
  )

const made = Effect.succeed({ model: "", object: "list", data: [], usage_prompt_tokens: 0 })

describe("a job", () => {
  it.scopedLive("keeps its place in a table that is full when its result comes", () =>
    Effect.gen(function*() {
      const { over, submit } = yield* start(
        (model) => model === "slow" ? Effect.never : made,
        { maxJobs: 2 }
      )
      yield* submit("a", "slow")
      yield* submit("b", "quick")
      assert.strictEqual((yield* over("b")).status, "JOB_STATUS_COMPLETED")
    }))

  it.scoped("that waits for a retry holds up no other, and is given up when no node takes it for too long", () =>
    Effect.gen(function*() {
      let tries = 0
      const away = Effect.suspend(() => {
        tries += 1
        return Effect.fail(GrpcError.fail(GrpcError.Status.UNAVAILABLE, "away"))
      })
      const { over, submit } = yield* start((model) => model === "away" ? away : made, {
        maxRunning: 1,
        patience: "1 minute"
      })
      yield* submit("a", "away")
      while (tries === 0) yield* Effect.yieldNow()
      yield* submit("b", "here")
      // The test's clock stands still: nothing of this waited.
      assert.strictEqual((yield* over("b")).status, "JOB_STATUS_COMPLETED")
      yield* TestClock.adjust("90 seconds")
      assert.deepInclude(yield* over("a"), { status: "JOB_STATUS_FAILED", error_message: "away" })
      assert.isAbove(tries, 4)
    }))

  it.scopedLive("ends also when there is a defect in what it does", () =>
    Effect.gen(function*() {
      const { over, submit } = yield* start(() => Effect.dieMessage("oops"))
      yield* submit("a", "m")
      const { error_message, status } = yield* over("a")
      assert.deepStrictEqual([status, error_message], ["JOB_STATUS_FAILED", "internal error"])
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))
})
