/** The jobs that are kept, in memory: how many, and how many bytes of them. */
import type { JobStatus } from "../../proto/generated/orchion/v1/JobStatus.js"

export interface Job {
  readonly id: string
  status: JobStatus
  assignedNode: string
  errorMessage: string
  result: Buffer
  /** Bytes that are kept for it: its payload, then its result. */
  bytes: number
}

export const isOver = ({ status }: Job): boolean => status === "JOB_STATUS_COMPLETED" || status === "JOB_STATUS_FAILED"

export class JobTable {
  /** In the order in which they came. */
  readonly #jobs = new Map<string, Job>()
  readonly #maxJobs: number
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxJobs: number, maxBytes: number) {
    this.#maxJobs = maxJobs
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#jobs.size
  }

  get(id: string): Job | undefined {
    return this.#jobs.get(id)
  }

  /** Adds a job that waits; `undefined` when there is no room for it. */
  add(id: string, bytes: number): Job | undefined {
    if (!this.#makeRoom(bytes, 1)) return undefined
    const job: Job = {
      id,
      status: "JOB_STATUS_PENDING",
      assignedNode: "",
      errorMessage: "",
      result: Buffer.alloc(0),
      bytes: 0
    }
    this.#jobs.set(id, job)
    this.#keep(job, bytes)
    return job
  }

  /** Keeps a result in place of the payload; `false` when there is no room for it. */
  complete(job: Job, result: Buffer): boolean {
    if (!this.#makeRoom(result.length - job.bytes, 0)) return false
    this.#keep(job, result.length)
    job.result = result
    job.status = "JOB_STATUS_COMPLETED"
    return true
  }

  fail(job: Job, reason: string): void {
    this.#keep(job, 0)
    job.errorMessage = reason
    job.status = "JOB_STATUS_FAILED"
  }

  #keep(job: Job, bytes: number): void {
    this.#bytes += bytes - job.bytes
    job.bytes = bytes
  }

  /** Forgets the oldest that are over, until there is room. */
  #makeRoom(bytes: number, jobs: number): boolean {
    const fits = () => this.#jobs.size + jobs <= this.#maxJobs && this.#bytes + bytes <= this.#maxBytes
    if (fits()) return true
    for (const job of this.#jobs.values()) {
      if (!isOver(job)) continue
      this.#jobs.delete(job.id)
      this.#keep(job, 0)
      if (fits()) return true
    }
    return fits()
  }
}
