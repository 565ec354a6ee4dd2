/** Jobs: requests that are accepted immediately and answered later, kept in memory. */
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as ChatRelay from "../../chat/ChatRelay.js"
import * as Backoff from "../../effect/Backoff.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import { methodOf } from "../../grpc/GrpcService.js"
import type { ChatCompletionRequest__Output } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { EmbeddingRequest__Output } from "../../proto/generated/orchion/v1/EmbeddingRequest.js"
import type { GetJobStatusResponse } from "../../proto/generated/orchion/v1/GetJobStatusResponse.js"
import type { SubmitJobRequest__Output } from "../../proto/generated/orchion/v1/SubmitJobRequest.js"
import type { SubmitJobResponse } from "../../proto/generated/orchion/v1/SubmitJobResponse.js"
import { OrchionLLMService } from "../../proto/OrchionV1.js"
import { oneLine } from "../../text/Printable.js"
import type { Dispatcher } from "../dispatch/Dispatcher.js"
import { type Job, JobTable } from "./JobTable.js"

export interface JobsOptions {
  /** Jobs that are kept, those that are over included. Default 1,000. */
  readonly maxJobs?: number
  /** Bytes of payloads and results that are kept. Default 128 MiB. */
  readonly maxBytes?: number
  /** Jobs that run at once; the others wait. Default 64. */
  readonly maxRunning?: number
  /** How long a job waits for a node that can take it. Default 10 min. */
  readonly patience?: Duration.DurationInput
}

export interface Jobs {
  readonly submit: (request: SubmitJobRequest__Output) => Effect.Effect<SubmitJobResponse, GrpcError.GrpcError>
  readonly status: (id: string) => Effect.Effect<GetJobStatusResponse, GrpcError.GrpcError>
}

const { Status } = GrpcError

/** In characters. */
const maxIdLength = 253

const invalid = (details: string) => GrpcError.fail(Status.INVALID_ARGUMENT, details)

/** No node can take it now, but one may later. */
const isTransient = ({ code, details }: GrpcError.GrpcError) =>
  code === Status.UNAVAILABLE || (code === Status.RESOURCE_EXHAUSTED && !GrpcError.isTooLarge(code, details))

/** What a job asks for, and how it is done. */
type Work = (job: Job) => Effect.Effect<Buffer, GrpcError.GrpcError>

const assign = (job: Job, node: string) => {
  job.assignedNode = node
  job.status = "JOB_STATUS_ASSIGNED"
}

const chat = (dispatcher: Dispatcher, request: ChatCompletionRequest__Output): Work => (job) =>
  Effect.map(
    ChatRelay.collect((open) =>
      dispatcher.chat({ ...request, stream: false }, (flow) => {
        job.status = "JOB_STATUS_RUNNING"
        return open(flow)
      }, (node) => assign(job, node))
    ),
    (answer) => methodOf(OrchionLLMService, "ChatCompletion").responseSerialize(answer)
  )

const embeddings = (dispatcher: Dispatcher, { input, model }: EmbeddingRequest__Output): Work => (job) =>
  Effect.map(
    dispatcher.embeddings(model, input, (node) => {
      assign(job, node)
      job.status = "JOB_STATUS_RUNNING"
    }),
    (answer) => methodOf(OrchionLLMService, "Embeddings").responseSerialize(answer)
  )

const decode = <A>(method: "ChatCompletion" | "Embeddings", payload: Buffer): Effect.Effect<A, GrpcError.GrpcError> =>
  Effect.try({
    try: () => methodOf(OrchionLLMService, method).requestDeserialize(payload) as A,
    catch: () => invalid(`the payload is not a serialized request of ${method}`)
  })

const workOf = (dispatcher: Dispatcher, { job_type, payload }: SubmitJobRequest__Output) =>
  Effect.gen(function*() {
    const bytes = Buffer.from(payload)
    switch (job_type) {
      case "JOB_TYPE_CHAT_COMPLETION": {
        const request = yield* decode<ChatCompletionRequest__Output>("ChatCompletion", bytes)
        return request.model === "" || request.messages.length === 0
          ? yield* invalid("the job's request names no model, or has no messages")
          : chat(dispatcher, request)
      }
      case "JOB_TYPE_EMBEDDINGS": {
        const request = yield* decode<EmbeddingRequest__Output>("Embeddings", bytes)
        return request.model === "" || request.input.length === 0
          ? yield* invalid("the job's request names no model, or has no input")
          : embeddings(dispatcher, request)
      }
      default:
        return yield* invalid("the job has an unknown type; give JOB_TYPE_CHAT_COMPLETION or JOB_TYPE_EMBEDDINGS")
    }
  })

/** Retries until a node takes it, or the wait is over. */
const run = (
  table: JobTable,
  places: Effect.Semaphore,
  patience: Duration.Duration,
  job: Job,
  work: Effect.Effect<Buffer, GrpcError.GrpcError>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
    const result = yield* work.pipe(
      // Not while it waits for a retry: others can be answered then.
      places.withPermits(1),
      Effect.tapError(() => Effect.sync(() => job.status = "JOB_STATUS_PENDING")),
      Effect.retry({
        schedule: Backoff.schedule({ base: "500 millis", cap: "15 seconds" }),
        while: (error) => Effect.map(Clock.currentTimeMillis, (now) => isTransient(error) && now < until)
      })
    )
    if (!table.complete(job, result)) {
      return yield* GrpcError.fail(Status.RESOURCE_EXHAUSTED, "there is no room left to keep the result")
    }
  }).pipe(
    Effect.catchAllDefect((defect) =>
      Effect.zipRight(
        Effect.logError("A job failed with a defect", defect),
        Effect.fail(GrpcError.fail(Status.INTERNAL, "internal error"))
      )
    ),
    Effect.catchAll(({ details }) => Effect.sync(() => table.fail(job, details))),
    Effect.annotateLogs("job", oneLine(job.id, maxIdLength))
  )

/** Jobs end with the scope. */
export const make = (dispatcher: Dispatcher, options: JobsOptions = {}): Effect.Effect<Jobs, never, Scope.Scope> =>
  Effect.gen(function*() {
    const table = new JobTable(options.maxJobs ?? 1000, options.maxBytes ?? 128 * 1024 * 1024)
    const patience = Duration.decode(options.patience ?? "10 minutes")
    const fibers = yield* FiberSet.make<void>()
    const places = yield* Effect.makeSemaphore(options.maxRunning ?? 64)

    return {
      submit: Effect.fn("Jobs.submit")(function*(request) {
        const id = request.job_id === "" ? randomUUID() : request.job_id
        if (id.length > maxIdLength) return yield* invalid(`a job's id has no more than ${maxIdLength} characters`)
        const work = yield* workOf(dispatcher, request)
        if (table.get(id) !== undefined) {
          return yield* GrpcError.fail(Status.ALREADY_EXISTS, `there is already a job "${oneLine(id, maxIdLength)}"`)
        }
        const job = table.add(id, request.payload.length)
        if (job === undefined) {
          return yield* GrpcError.fail(
            Status.RESOURCE_EXHAUSTED,
            `this orchestrator keeps no more jobs: ${table.size} wait or run; retry later`
          )
        }
        yield* FiberSet.run(fibers, run(table, places, patience, job, work(job)))
        return { job_id: id, status: "JOB_STATUS_PENDING" as const }
      }),
      status: (id) =>
        Effect.suspend(() => {
          const job = table.get(id)
          return job === undefined
            ? Effect.fail(GrpcError.fail(
              Status.NOT_FOUND,
              `there is no job "${oneLine(id, maxIdLength)}"; jobs that are over are forgotten after a while`
            ))
            : Effect.succeed({
              job_id: job.id,
              status: job.status,
              assigned_node: job.assignedNode,
              error_message: job.errorMessage,
              result: job.result
            })
        })
    }
  })
