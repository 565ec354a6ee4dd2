/** Jobs: requests that are taken at once and answered later, kept in memory. */
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as GrpcError from "../../grpc/GrpcError.js"
import { methodOf } from "../../grpc/GrpcService.js"
import * as ChatRelay from "../../chat/ChatRelay.js"
import type { ChatCompletionRequest__Output } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { EmbeddingRequest__Output } from "../../proto/generated/orchion/v1/EmbeddingRequest.js"
import type { GetJobStatusResponse } from "../../proto/generated/orchion/v1/GetJobStatusResponse.js"
import type { JobStatus } from "../../proto/generated/orchion/v1/JobStatus.js"
import type { SubmitJobRequest__Output } from "../../proto/generated/orchion/v1/SubmitJobRequest.js"
import type { SubmitJobResponse } from "../../proto/generated/orchion/v1/SubmitJobResponse.js"
import { OrchionLLMService } from "../../proto/OrchionV1.js"
import type { Dispatcher } from "../dispatch/Dispatcher.js"

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

interface Job {
  readonly id: string
  status: JobStatus
  assignedNode: string
  errorMessage: string
  result: Buffer
  /** Of what is kept for it. */
  bytes: number
}

const { Status } = GrpcError

const invalid = (details: string) => GrpcError.fail(Status.INVALID_ARGUMENT, details)

const isOver = ({ status }: Job) => status === "JOB_STATUS_COMPLETED" || status === "JOB_STATUS_FAILED"

/** Whether another try may go better: nobody can take it now, and somebody may later. */
const mayPass = ({ code, details }: GrpcError.GrpcError) =>
  code === Status.UNAVAILABLE || (code === Status.RESOURCE_EXHAUSTED && !GrpcError.isTooLarge(code, details))

/** Jobs end with the scope. */
export const make = (
  dispatcher: Dispatcher["Type"],
  options: JobsOptions = {}
): Effect.Effect<Jobs, never, Scope.Scope> =>
  Effect.gen(function*() {
    const maxJobs = options.maxJobs ?? 1000
    const maxBytes = options.maxBytes ?? 128 * 1024 * 1024
    const patience = Duration.decode(options.patience ?? "10 minutes")
    const fibers = yield* FiberSet.make<void>()
    const places = yield* Effect.makeSemaphore(options.maxRunning ?? 64)
    /** In the order in which they came. */
    const jobs = new Map<string, Job>()
    let bytes = 0

    const keep = (job: Job, now: number) => {
      bytes += now - job.bytes
      job.bytes = now
    }

    /** Forgets the oldest that are over, until there is room for so many bytes, and for so many jobs. */
    const makeRoom = (more: number, others: number): boolean => {
      const fits = () => jobs.size + others <= maxJobs && bytes + more <= maxBytes
      if (fits()) return true
      for (const job of jobs.values()) {
        if (!isOver(job)) continue
        jobs.delete(job.id)
        keep(job, 0)
        if (fits()) return true
      }
      return fits()
    }

    const assigned = (job: Job) => (node: string) => {
      job.assignedNode = node
      job.status = "JOB_STATUS_ASSIGNED"
    }

    const chat = (job: Job, request: ChatCompletionRequest__Output) =>
      Effect.suspend(() => {
        const collector = ChatRelay.collect()
        return dispatcher.chat({ ...request, stream: false }, () => {
          job.status = "JOB_STATUS_RUNNING"
          return collector.open()
        }, assigned(job)).pipe(
          Effect.zipRight(collector.finish),
          Effect.map((answer) => methodOf(OrchionLLMService, "ChatCompletion").responseSerialize(answer))
        )
      })

    const embeddings = (job: Job, { input, model }: EmbeddingRequest__Output) =>
      Effect.map(
        dispatcher.embeddings(model, input, (node) => {
          assigned(job)(node)
          job.status = "JOB_STATUS_RUNNING"
        }),
        (answer) => methodOf(OrchionLLMService, "Embeddings").responseSerialize(answer)
      )

    /** Tries until a node takes it, or nobody has for too long. */
    const run = (job: Job, work: Effect.Effect<Buffer, GrpcError.GrpcError>) =>
      Effect.gen(function*() {
        const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
        const result = yield* work.pipe(
          // Not while it waits for the next try: others can be answered then.
          places.withPermits(1),
          Effect.tapError(() => Effect.sync(() => job.status = "JOB_STATUS_PENDING")),
          Effect.retry({
            schedule: Schedule.exponential("500 millis").pipe(
              Schedule.union(Schedule.spaced("15 seconds")),
              Schedule.jittered
            ),
            while: (error) => Effect.map(Clock.currentTimeMillis, (now) => mayPass(error) && now < until)
          })
        )
        if (!makeRoom(result.length - job.bytes, 0)) {
          return yield* GrpcError.fail(Status.RESOURCE_EXHAUSTED, "there is no room left to keep the result")
        }
        keep(job, result.length)
        job.result = result
        job.status = "JOB_STATUS_COMPLETED"
      }).pipe(
        Effect.catchAllDefect((defect) =>
          Effect.zipRight(
            Effect.logError(`A defect in the job ${job.id}`, defect),
            Effect.fail(GrpcError.fail(Status.INTERNAL, "internal error"))
          )
        ),
        Effect.catchAll((error) =>
          Effect.sync(() => {
            keep(job, 0)
            job.errorMessage = error.details
            job.status = "JOB_STATUS_FAILED"
          })
        )
      )

    const decode = <A>(
      method: "ChatCompletion" | "Embeddings",
      payload: Buffer
    ): Effect.Effect<A, GrpcError.GrpcError> =>
      Effect.try({
        try: () => methodOf(OrchionLLMService, method).requestDeserialize(payload) as A,
        catch: () => invalid(`the payload is not a serialized request of ${method}`)
      })

    return {
      submit: ({ job_id, job_type, payload }) =>
        Effect.gen(function*() {
          const id = job_id === "" ? randomUUID() : job_id
          if (id.length > 253) return yield* invalid("a job's id has no more than 253 characters")
          if (job_type !== "JOB_TYPE_CHAT_COMPLETION" && job_type !== "JOB_TYPE_EMBEDDINGS") {
            return yield* invalid("the job is of no known type; give JOB_TYPE_CHAT_COMPLETION or JOB_TYPE_EMBEDDINGS")
          }
          const bytes = Buffer.from(payload)
          const job: Job = {
            id,
            status: "JOB_STATUS_PENDING",
            assignedNode: "",
            errorMessage: "",
            result: Buffer.alloc(0),
            bytes: 0
          }
          let work: Effect.Effect<Buffer, GrpcError.GrpcError>
          if (job_type === "JOB_TYPE_CHAT_COMPLETION") {
            const request = yield* decode<ChatCompletionRequest__Output>("ChatCompletion", bytes)
            if (request.model === "" || request.messages.length === 0) {
              return yield* invalid("the job's request names no model, or has no messages")
            }
            work = chat(job, request)
          } else {
            const request = yield* decode<EmbeddingRequest__Output>("Embeddings", bytes)
            if (request.model === "" || request.input.length === 0) {
              return yield* invalid("the job's request names no model, or has no input")
            }
            work = embeddings(job, request)
          }
          if (jobs.has(id)) {
            return yield* GrpcError.fail(Status.ALREADY_EXISTS, `there is a job ${JSON.stringify(id)} already`)
          }
          if (!makeRoom(bytes.length, 1)) {
            return yield* GrpcError.fail(
              Status.RESOURCE_EXHAUSTED,
              `${jobs.size} jobs wait or run, which is as many as this orchestrator keeps; try again later`
            )
          }
          jobs.set(id, job)
          keep(job, bytes.length)
          yield* FiberSet.run(fibers, run(job, work))
          return { job_id: id, status: "JOB_STATUS_PENDING" as const }
        }),
      status: (id) =>
        Effect.suspend(() => {
          const job = jobs.get(id)
          return job === undefined
            ? Effect.fail(
              GrpcError.fail(
                Status.NOT_FOUND,
                `there is no job ${JSON.stringify(id.slice(0, 253))}; jobs that are over are forgotten after a while`
              )
            )
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
