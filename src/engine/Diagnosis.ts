/**
 * Why an engine ended or could not start, and what to do about it, derived from its exit and its last log lines.
 *
 * The last line is rarely the cause. vLLM always ends with a generic one, so the lines are searched from the end for a
 * known one. The drivers define the known lines.
 */
import type * as Duration from "effect/Duration"
import type { ContainerExit } from "../docker/api/Container.js"
import type * as DockerError from "../docker/api/DockerError.js"
import type { GpuInfo } from "../node/NodeCapabilities.js"
import * as Bytes from "../text/Bytes.js"
import * as GoDuration from "../text/GoDuration.js"
import { cut } from "../text/Printable.js"

/** Stable, for programs. */
export type Cause =
  | "refused"
  | "docker"
  | "gpu-memory-busy"
  | "kv-cache-too-small"
  | "gpu-out-of-memory"
  | "no-gpu-in-container"
  | "model-access"
  | "model-unsupported"
  | "model-not-found"
  | "shared-memory"
  | "bad-argument"
  | "disk-full"
  | "no-permission"
  | "network"
  | "port-in-container"
  | "memory-limit"
  | "killed"
  | "removed"
  | "stalled"
  | "unhealthy"
  | "unreachable"
  | "crashed"
  | "ended"

export interface Diagnosis {
  readonly cause: Cause
  /** What happened: one sentence. */
  readonly message: string
  /** What to do: one sentence; empty when there is nothing to do. */
  readonly remedy: string
  /** A restart alone will most likely fail the same way. */
  readonly lasting: boolean
}

/** Message and remedy as full sentences. */
export const text = ({ message, remedy }: Diagnosis): string =>
  [message, remedy].filter((part) => part !== "").map((part) => /[.!?…]$/.test(part) ? part : `${part}.`).join(" ")

export const lasting = (cause: Cause, message: string, remedy: string): Diagnosis => ({
  cause,
  message,
  remedy,
  lasting: true
})

export const transient = (cause: Cause, message: string, remedy = ""): Diagnosis => ({
  cause,
  message,
  remedy,
  lasting: false
})

/** What is known about the end of a run. */
export interface Evidence {
  readonly model: string
  /** Absent when the container was gone before it could be inspected. */
  readonly exit: ContainerExit | undefined
  /** The last ones, oldest first. */
  readonly lines: ReadonlyArray<string>
  /** Bytes; absent when unlimited. */
  readonly memoryLimitBytes?: number
  /** The GPUs that it was given. */
  readonly gpus: ReadonlyArray<GpuInfo>
}

/** A kind of log line that names a cause. Lines are searched for plain text, so that a search is linear in their length. */
export interface KnownLine {
  /** Any of these is in the line. */
  readonly markers: ReadonlyArray<string>
  /** All of these are in it as well. */
  readonly and?: ReadonlyArray<string>
  /** Applied to at most {@link detailLength} characters from the marker on. */
  readonly detail?: RegExp
  readonly explain: (
    line: { readonly excerpt: string; readonly detail: RegExpExecArray | null },
    evidence: Evidence
  ) => Diagnosis
}

/** What diagnoses need to know about one engine. */
export interface EngineDiagnosis {
  /** As people write it: `vLLM`. */
  readonly title: string
  /** The most specific first: the first that matches any line wins. */
  readonly known: ReadonlyArray<KnownLine>
  /** The flags that remedies name: `--vllm-memory`. */
  readonly flags: {
    readonly enable?: string
    readonly memory?: string
    readonly volume?: string
    /** What may have changed its port inside the container. */
    readonly port?: string
  }
}

/** Programs that hold memory of these GPUs, for display: `python (pid 4711, 20.0 GiB)`. */
export const holdersOf = (gpus: ReadonlyArray<GpuInfo>): string =>
  gpus.flatMap(({ foreignProcesses }) => foreignProcesses).map(({ memoryUsedBytes, name, pid }) =>
    `${name} (pid ${pid}${memoryUsedBytes === undefined ? "" : `, ${Bytes.format(memoryUsedBytes)}`})`
  ).join(", ")

/** Lines of any engine. */
const common = (
  { flags: { port = "an argument or a variable of the image", volume }, title }: EngineDiagnosis
): ReadonlyArray<KnownLine> => [
  {
    markers: ["No space left on device", "no space left on device", "Disk quota exceeded", "disk quota exceeded"],
    explain: () =>
      lasting(
        "disk-full",
        "The disk is full.",
        `Free some space ("docker system df" shows what Docker uses)${
          volume === undefined ? "." : `, or keep the models elsewhere: ${volume}.`
        }`
      )
  },
  {
    markers: ["address already in use", "Address already in use"],
    explain: () =>
      lasting(
        "port-in-container",
        `${title} could not listen on its port inside the container.`,
        `Remove what changes its port (${port}).`
      )
  }
]

/** Characters of a line that a pattern is applied to. */
const detailLength = 500

/** Without colours and the process that wrote it: `(EngineCore pid=123) `. */
export const withoutPrefix = (line: string): string =>
  line.replace(/\u001b\[[0-9;]*m/g, "").replace(/^(?:\([A-Za-z_][^()]*pid=\d+\)\s*)+/, "")

const isWarning = (line: string): boolean => /^(?:WARNING\b|WARN\b|time=\S+ level=WARN\b)/.test(line)

const markerAt = (line: string, { and = [], markers }: KnownLine): number => {
  for (const marker of markers) {
    const at = line.indexOf(marker)
    if (at !== -1 && and.every((part) => line.includes(part))) return at
  }
  return -1
}

/** The cause that the lines name. */
export const ofLines = (engine: EngineDiagnosis, evidence: Evidence): Diagnosis | undefined => {
  const lines = evidence.lines.map(withoutPrefix).filter((line) => !isWarning(line))
  for (const known of [...engine.known, ...common(engine)]) {
    for (let index = lines.length - 1; index >= 0; index--) {
      const line = lines[index] ?? ""
      const at = markerAt(line, known)
      if (at === -1) continue
      const excerpt = line.slice(at, at + detailLength)
      return known.explain({ excerpt, detail: known.detail?.exec(excerpt) ?? null }, evidence)
    }
  }
  return undefined
}

const isError = (line: string): boolean =>
  /\b(?:ERROR|CRITICAL|FATAL|panic)\b|^[\w.]*(?:Error|Exception)\b/.test(line)
  && !line.includes("Engine core initialization failed")

/** The most informative line when none is known. */
const lastLine = (lines: ReadonlyArray<string>): string => {
  const plain = lines.map(withoutPrefix).filter((line) => line.trim() !== "")
  return cut(plain.findLast((text) => isError(text) && !isWarning(text)) ?? plain.at(-1) ?? "", 300)
}

const signalNames: Readonly<Record<number, string>> = { 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM" }

/** Why a container ended. */
export const ofEnd = (engine: EngineDiagnosis, evidence: Evidence): Diagnosis => {
  const { exit, lines, memoryLimitBytes } = evidence
  const { flags, title } = engine
  if (exit === undefined) return removed(engine)
  if (exit.oomKilled) {
    return lasting(
      "memory-limit",
      memoryLimitBytes === undefined
        ? `The kernel killed ${title}: the machine ran out of memory.`
        : `The kernel killed ${title}: it needed more than its ${Bytes.format(memoryLimitBytes)} of memory.`,
      memoryLimitBytes === undefined || flags.memory === undefined
        ? "Free memory on this machine, or use a smaller model."
        : `Raise ${flags.memory}, or use a smaller model.`
    )
  }
  // An engine that was asked to stop has no other reason, whatever it logged before.
  const named = exit.exitCode === 0 || exit.exitCode === 128 + 15 ? undefined : ofLines(engine, evidence)
  if (named !== undefined) return named
  const last = lastLine(lines)
  const quoted = last === "" ? "" : ` Its last line: ${last}`
  if (exit.exitCode === 0) return transient("ended", `${title} exited on its own, without an error.${quoted}`)
  const signal = exit.exitCode > 128 ? exit.exitCode - 128 : undefined
  if (signal === 9 || signal === 15) {
    return transient("killed", `${title} was killed from outside (${signalNames[signal]}).${quoted}`)
  }
  const how = signal === undefined ? `exit code ${exit.exitCode}` : `signal ${signalNames[signal] ?? signal}`
  const why = exit.error === undefined || exit.error === "" ? "" : ` (${exit.error})`
  return transient("crashed", `${title} ended with ${how}${why}.${quoted}`, "The lines before that are in its log.")
}

/** A start without progress for too long. */
export const stalled = (
  { title }: EngineDiagnosis,
  silence: Duration.Duration,
  lines: ReadonlyArray<string>
): Diagnosis => {
  const last = lastLine(lines)
  return transient(
    "stalled",
    `${title} has been silent for ${GoDuration.format(silence)} while starting${
      last === "" ? ": it wrote nothing" : `; its last line: ${last}`
    }.`,
    "Check whether the machine is overloaded, or a download hangs (network, proxy)."
  )
}

/** It was ready, and no longer answers. */
export const unhealthy = ({ title }: EngineDiagnosis, failures: number, reason: string): Diagnosis =>
  transient("unhealthy", `${title} failed ${failures} health checks in a row: ${reason}.`)

/** It passes its health checks and makes no progress. */
export const hung = ({ title }: EngineDiagnosis, running: number, silence: Duration.Duration): Diagnosis =>
  transient(
    "unhealthy",
    `${title} hangs: it has ${running} requests in flight and produced no token for ${GoDuration.format(silence)}.`
  )

/** It logs that it accepts connections, but the agent cannot connect. */
export const unreachable = (
  { title }: EngineDiagnosis,
  address: string,
  agentInContainer: boolean
): Diagnosis =>
  lasting(
    "unreachable",
    `${title} is up, and the agent cannot connect to it at ${address}: ${
      agentInContainer
        ? "the agent runs in a container, where 127.0.0.1 is not this machine's."
        : "connection refused. Docker may be on another machine, or a firewall is in between."
    }`,
    agentInContainer
      ? "Run the agent's container with --network host, or publish engines where it reaches them: "
        + "--engine-bind-address with the address of Docker's bridge (often 172.17.0.1)."
      : "Run the agent on the machine that has Docker, or publish engines at an address that it reaches: "
        + "--engine-bind-address."
  )

/** The settings ask for what this machine cannot do. */
export const refused = ({ title }: { readonly title: string }, problem: string, remedy: string): Diagnosis =>
  lasting("refused", `${title} cannot run here: ${problem}`, remedy)

/** Errors of Docker that retrying alone will not fix. */
const lastingErrors: ReadonlySet<string> = new Set([
  "DockerNotFound",
  "DockerPermissionDenied",
  "DockerEndpointInvalid",
  "SpecInvalid",
  "ImageNotFound",
  "NameTaken",
  "PortTaken",
  "GpuUnavailable",
  "DeviceUnavailable",
  "VolumeUnavailable",
  "OutOfDisk"
])

/** A request to Docker failed; its errors say what to do. */
export const ofDockerError = (
  engine: EngineDiagnosis,
  error: DockerError.RunError | DockerError.PullError | DockerError.ContainerNotFound
): Diagnosis =>
  error._tag === "ContainerNotFound"
    ? removed(engine)
    : {
      cause: error._tag === "OutOfDisk" ? "disk-full" : "docker",
      message: error.message,
      remedy: "",
      lasting: lastingErrors.has(error._tag)
    }

const removed = ({ flags: { enable }, title }: EngineDiagnosis): Diagnosis =>
  transient(
    "removed",
    `${title}'s container was removed by another program or person.`,
    `Stop the agent${enable === undefined ? "" : `, or leave out ${enable},`} if it should not run.`
  )

/** A defect in the agent. */
export const defect = ({ title }: EngineDiagnosis, what: string): Diagnosis =>
  transient("crashed", `Internal error while supervising ${title}: ${what}.`, "Please report it.")
