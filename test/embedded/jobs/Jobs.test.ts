import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
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
            yield* Effect.sleep("5 millis")
          }
        }).pipe(Effect.timeout("5 seconds"))
    })
  )

const made = Effect.succeed({ model: "", object: "list", data: [], usage_prompt_tokens: 0 })

describe("a job", () => {
  it.scopedLive("keeps its place in a table that is full when its result comes", () =>
    Effect.gen(function*() {
      const { over, submit } = yield* start(
        (model) => model === "slow" ? Effect.never : Effect.delay(made, "50 millis"),
        { maxJobs: 2 }
      )
      yield* submit("a", "slow")
      yield* submit("b", "quick")
      assert.strictEqual((yield* over("b")).status, "JOB_STATUS_COMPLETED")
    }))

  it.scopedLive("that waits for its next try holds up no other", () =>
    Effect.gen(function*() {
      const { over, submit } = yield* start(
        (model) => model === "away" ? Effect.fail(GrpcError.fail(GrpcError.Status.UNAVAILABLE, "away")) : made,
        { maxRunning: 1, patience: "1 minute" }
      )
      yield* submit("a", "away")
      yield* Effect.sleep("20 millis")
      const from = Date.now()
      yield* submit("b", "here")
      assert.strictEqual((yield* over("b")).status, "JOB_STATUS_COMPLETED")
      assert.isBelow(Date.now() - from, 2_000)
    }))

  it.scopedLive("ends also when there is a defect in what it does", () =>
    Effect.gen(function*() {
      const { over, submit } = yield* start(() => Effect.dieMessage("oops"))
      yield* submit("a", "m")
      const { error_message, status } = yield* over("a")
      assert.deepStrictEqual([status, error_message], ["JOB_STATUS_FAILED", "internal error"])
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))
})
