/** Why an attempt to pull an image failed, and whether another may succeed. */
import * as Data from "effect/Data"
import * as DockerError from "./api/DockerError.js"
import * as DockerMessages from "./DockerMessages.js"

export class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  /** The pull's error, should there be no further attempt. */
  readonly error: (attempts: number) => DockerError.PullError
  readonly reason: string
  readonly isTransient: boolean
}> {
  override get message(): string {
    return this.reason
  }
}

/** Another attempt cannot help. */
export const lasting = (error: DockerError.PullError): AttemptFailed =>
  new AttemptFailed({ error: () => error, reason: error.message, isTransient: false })

/** Another attempt may help. */
export const transient = (image: string, detail: string): AttemptFailed =>
  new AttemptFailed({
    error: (attempts) => new DockerError.ImagePullFailed({ image, attempts, detail }),
    reason: detail,
    isTransient: true
  })

/** Nothing has moved for `silence` milliseconds. */
export const stalled = (image: string, silence: number): AttemptFailed =>
  new AttemptFailed({
    error: (attempts) => new DockerError.ImagePullStalled({ image, attempts, silence }),
    reason: `no progress for ${Math.round(silence / 1000)} s`,
    isTransient: true
  })

const unpullable = (image: string, detail: string, remedy: string) =>
  lasting(new DockerError.ImagePullFailed({ image, attempts: 1, detail, remedy }))

/** What Docker says about a pull that failed. */
export const ofMessage = (image: string, detail: string): AttemptFailed => {
  switch (DockerMessages.ofPull(detail)) {
    case "OutOfDisk":
      return lasting(new DockerError.OutOfDisk({ subject: `image "${image}"`, detail }))
    case "NotFound":
      return lasting(
        new DockerError.ImageNotFound({ image, detail, mayNeedLogin: DockerMessages.mayNeedLogin(detail) })
      )
    case "Denied":
      return lasting(new DockerError.ImageNotFound({ image, detail, mayNeedLogin: true }))
    case "RateLimited":
      return unpullable(
        image,
        detail,
        "The registry limits how often this machine may pull: run \"docker login\" as the agent's user, or wait."
      )
    case "Unsupported":
      return unpullable(image, detail, "Choose another image or tag.")
    case undefined:
      return transient(image, detail)
  }
}

/** A request to Docker that failed. */
export const ofDocker = (image: string, error: DockerError.DockerError): AttemptFailed => {
  switch (error._tag) {
    case "DockerRequestFailed": {
      const { detail, status } = error
      return status === 404
        ? lasting(new DockerError.ImageNotFound({ image, detail, mayNeedLogin: DockerMessages.mayNeedLogin(detail) }))
        : status === 400
        ? unpullable(image, detail, "Check its name.")
        : ofMessage(image, detail)
    }
    case "DockerUnreachable":
    case "DockerTimeout":
      return new AttemptFailed({ error: () => error, reason: error.message, isTransient: true })
    default:
      return lasting(error)
  }
}
