/**
 * What can go wrong with Docker: one class per thing that a caller would handle differently.
 *
 * Every message says what failed, with which value, and what to do about it.
 */
import * as Data from "effect/Data"
import * as Bytes from "../../text/Bytes.js"

const seconds = (millis: number): string => `${Number((millis / 1000).toFixed(1))} s`

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

/** There is no Docker and no Podman on this machine, as far as can be seen. */
export class DockerNotFound extends Data.TaggedError("DockerNotFound")<{
  /** Every place that was tried, in order. */
  readonly lookedAt: ReadonlyArray<string>
}> {
  override get message(): string {
    return `No Docker found (looked at ${this.lookedAt.join(", ")}). `
      + "Install Docker Engine or Podman, or say where it listens with --docker-host."
  }
}

/** A setting names a Docker endpoint that cannot be used. */
export class DockerEndpointInvalid extends Data.TaggedError("DockerEndpointInvalid")<{
  /** Who says so: `--docker-host`, `DOCKER_HOST`, `DOCKER_CONTEXT`, a file's path. */
  readonly source: string
  readonly value: string
  /** A full sentence. */
  readonly reason: string
  /** What to do; a full sentence. */
  readonly remedy: string
}> {
  override get message(): string {
    return `${this.source} is "${this.value}", which cannot be used: ${sentence(this.reason)} ${this.remedy}`
  }
}

/** Docker's socket is there, and we may not use it. */
export class DockerPermissionDenied extends Data.TaggedError("DockerPermissionDenied")<{
  readonly endpoint: string
  /** The user that the agent runs as. */
  readonly user: string
  /** The group that may use the socket; absent when the socket could not be looked at. */
  readonly group?: string | undefined
}> {
  /** A full sentence. */
  get problem(): string {
    return this.user === "root"
      ? `No permission to use Docker at ${this.endpoint}, although the agent runs as root.`
      : `No permission to use Docker at ${this.endpoint}: the user ${this.user} is not in the group ${
        this.group ?? "docker"
      }.`
  }

  /** A full sentence. */
  get remedy(): string {
    return this.user === "root"
      ? "Check what restricts the agent: systemd's sandboxing, SELinux, AppArmor."
      : `Add it with "sudo usermod -aG ${
        this.group ?? "docker"
      } ${this.user}", then log in again (or restart the agent's `
        + "service)."
  }

  override get message(): string {
    return `${this.problem} ${this.remedy}`
  }
}

/** Nothing usable answers at the endpoint, or the connection was lost on the way. */
export class DockerUnreachable extends Data.TaggedError("DockerUnreachable")<{
  readonly endpoint: string
  /** What was being done: `inspect container orchion-vllm`. */
  readonly operation: string
  /** What happened, in words: `connection refused`. */
  readonly reason: string
  /**
   * Whether the request may have been carried out all the same: it was lost on the way, rather than never sent.
   */
  readonly ambiguous: boolean
  readonly remedy: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `Cannot ${this.operation}: Docker at ${this.endpoint} is not reachable (${this.reason}). ${this.remedy}`
  }
}

/** Docker took too long. Whether the request was carried out is not known. */
export class DockerTimeout extends Data.TaggedError("DockerTimeout")<{
  readonly endpoint: string
  readonly operation: string
  /** Milliseconds. */
  readonly after: number
}> {
  override get message(): string {
    return `Docker at ${this.endpoint} did not ${this.operation} within ${seconds(this.after)}. `
      + "It may be overloaded or hung: look at its log (journalctl -u docker), restart it if it does not recover."
  }
}

/** Docker refused or failed a request in a way that has no class of its own. */
export class DockerRequestFailed extends Data.TaggedError("DockerRequestFailed")<{
  readonly endpoint: string
  readonly operation: string
  /** The HTTP status; 0 when the answer itself could not be understood. */
  readonly status: number
  /** What Docker said. */
  readonly detail: string
}> {
  override get message(): string {
    const status = this.status === 0 ? "" : ` (status ${this.status})`
    return `Docker at ${this.endpoint} could not ${this.operation}${status}: ${sentence(this.detail)}`
  }
}

/** What every call to Docker can fail with. */
export type DockerError =
  | DockerNotFound
  | DockerEndpointInvalid
  | DockerPermissionDenied
  | DockerUnreachable
  | DockerTimeout
  | DockerRequestFailed

/** Whether the same call may go well later once Docker is reachable. */
export const isUnavailable = (
  error: { readonly _tag: string }
): error is DockerNotFound | DockerPermissionDenied | DockerUnreachable | DockerTimeout =>
  error._tag === "DockerUnreachable" || error._tag === "DockerTimeout" || error._tag === "DockerNotFound"
  || error._tag === "DockerPermissionDenied"

/** Neither this machine nor the registry has the image, or the registry does not show it to us. */
export class ImageNotFound extends Data.TaggedError("ImageNotFound")<{
  readonly image: string
  /** What Docker said. */
  readonly detail: string
  /** The image may exist for those who are logged in. */
  readonly mayNeedLogin: boolean
}> {
  override get message(): string {
    const login = this.mayNeedLogin ? " If it is private, run \"docker login\" as the agent's user first." : ""
    return `Image "${this.image}" not found: ${sentence(this.detail)} Check its name and tag.${login}`
  }
}

/** An image could not be pulled, after all attempts. */
export class ImagePullFailed extends Data.TaggedError("ImagePullFailed")<{
  readonly image: string
  readonly attempts: number
  readonly detail: string
  /** What to do, when it is not about the network. */
  readonly remedy?: string | undefined
}> {
  override get message(): string {
    const times = this.attempts === 1 ? "" : ` after ${this.attempts} attempts`
    return `Could not pull image "${this.image}"${times}: ${sentence(this.detail)} `
      + (this.remedy ?? "Check this machine's connection to the registry (network, DNS, proxy) and try again.")
  }
}

/** A pull made no progress for too long, in every attempt. */
export class ImagePullStalled extends Data.TaggedError("ImagePullStalled")<{
  readonly image: string
  readonly attempts: number
  /** Milliseconds without progress. */
  readonly silence: number
}> {
  override get message(): string {
    return `Pulling image "${this.image}" made no progress for ${seconds(this.silence)}, `
      + `${this.attempts === 1 ? "once" : `${this.attempts} times`}. `
      + "Check this machine's connection to the registry (network, proxy) and Docker's log, then try again."
  }
}

/** Docker's disk is full, or would be. */
export class OutOfDisk extends Data.TaggedError("OutOfDisk")<{
  /** What needs the room: `image "vllm/vllm-openai:latest"`. */
  readonly subject: string
  /** Docker's data directory, where known. */
  readonly path?: string | undefined
  /** Bytes: at least this much. */
  readonly needed?: number | undefined
  /** Bytes. */
  readonly free?: number | undefined
  /** What Docker said, when it was Docker that noticed. */
  readonly detail?: string | undefined
}> {
  override get message(): string {
    const where = this.path === undefined ? "on Docker's disk" : `in ${this.path}`
    const figures = this.needed === undefined || this.free === undefined
      ? ""
      : `: it needs at least ${Bytes.format(this.needed)} more, and ${Bytes.format(this.free)} are free`
    const detail = this.detail === undefined ? "" : ` (${this.detail})`
    return `Not enough disk space ${where} for ${this.subject}${figures}${detail}. `
      + "Free some (\"docker system prune\" removes what no container uses), or move Docker's data directory to a larger disk."
  }
}

/** A container was described in a way that cannot work; nothing was created. */
export class SpecInvalid extends Data.TaggedError("SpecInvalid")<{
  /** Which part: `memoryBytes`, `ports[0].host`. */
  readonly field: string
  /** A full sentence, with the value. */
  readonly reason: string
}> {
  override get message(): string {
    return `Invalid container: ${this.field}: ${sentence(this.reason)}`
  }
}

/** A container of that name exists already. */
export class NameTaken extends Data.TaggedError("NameTaken")<{
  readonly name: string
  /** The id of the one that has it, where known. */
  readonly holder?: string | undefined
}> {
  override get message(): string {
    const by = this.holder === undefined ? "another container" : `container ${this.holder.slice(0, 12)}`
    return `The container name "${this.name}" is taken by ${by}. `
      + `If nothing needs that one, remove it with "docker rm -f ${this.name}".`
  }
}

/** Who listens on a port. */
export type PortHolder =
  | { readonly _tag: "Container"; readonly id: string; readonly name: string }
  | { readonly _tag: "Process"; readonly pid: number; readonly name: string }

/** The machine's port is in use. */
export class PortTaken extends Data.TaggedError("PortTaken")<{
  readonly container: string
  readonly port: number
  readonly protocol: string
  /** Absent when it cannot be known, for lack of rights or of time. */
  readonly holder?: PortHolder | undefined
}> {
  override get message(): string {
    const by = this.holder === undefined
      ? "another program"
      : this.holder._tag === "Container"
      ? `the container ${this.holder.name}`
      : `${this.holder.name} (process ${this.holder.pid})`
    return `Port ${this.port}/${this.protocol} of ${this.container} is in use by ${by}. `
      + "Stop it, or choose another port."
  }
}

/** GPUs were asked for, and Docker cannot hand them to the container. */
export class GpuUnavailable extends Data.TaggedError("GpuUnavailable")<{
  readonly container: string
  readonly vendor: string
  /** As asked for: `all`, `0,1`. */
  readonly devices: string
  /** What Docker said. */
  readonly detail: string
  readonly remedy: string
}> {
  override get message(): string {
    return `${this.container} cannot have the ${this.vendor} GPUs it asks for (${this.devices}): ${
      sentence(this.detail)
    } `
      + this.remedy
  }
}

/** A device node that the container asks for is not there. */
export class DeviceUnavailable extends Data.TaggedError("DeviceUnavailable")<{
  readonly container: string
  readonly device: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.container} cannot use the device ${this.device}: ${sentence(this.detail)} `
      + "Check that its driver is loaded on this machine and that the path is right."
  }
}

/** A directory of this machine that the container is to see is not there. */
export class VolumeUnavailable extends Data.TaggedError("VolumeUnavailable")<{
  readonly container: string
  readonly path: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.container} cannot mount ${this.path}: ${sentence(this.detail)} `
      + "Create it, or name another path."
  }
}

/** The container was created and would not start; it has been removed again. */
export class ContainerStartFailed extends Data.TaggedError("ContainerStartFailed")<{
  readonly container: string
  readonly image: string
  /** 126: not executable, 127: not found, 128: refused by Docker; absent when it never came so far. */
  readonly exitCode?: number | undefined
  readonly detail: string
}> {
  override get message(): string {
    const what = this.exitCode === 127
      ? " Its command does not exist in the image: check the image and its entrypoint."
      : this.exitCode === 126
      ? " Its command is not executable: check the image (and that it is made for this machine's architecture)."
      : ""
    return `${this.container} (image "${this.image}") did not start: ${sentence(this.detail)}${what}`
  }
}

/** There is no such container, or no longer. */
export class ContainerNotFound extends Data.TaggedError("ContainerNotFound")<{
  /** The id or name that was asked for. */
  readonly container: string
}> {
  override get message(): string {
    return `There is no container ${this.container}: it was removed, or never created. "docker ps -a" lists all there are.`
  }
}

/** The container is there, and does not run. */
export class ContainerNotRunning extends Data.TaggedError("ContainerNotRunning")<{
  readonly container: string
  readonly detail: string
}> {
  override get message(): string {
    return `Container ${this.container} does not run: ${sentence(this.detail)} Start it first.`
  }
}

/** What a pull can fail with. */
export type PullError = DockerError | SpecInvalid | ImageNotFound | ImagePullFailed | ImagePullStalled | OutOfDisk

/** What starting a container can fail with. */
export type RunError =
  | DockerError
  | SpecInvalid
  | ImageNotFound
  | OutOfDisk
  | NameTaken
  | PortTaken
  | GpuUnavailable
  | DeviceUnavailable
  | VolumeUnavailable
  | ContainerStartFailed
