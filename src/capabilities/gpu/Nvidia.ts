/**
 * NVIDIA's GPUs, by `nvidia-smi`: one process for all GPUs at each look, and one for who uses them where what they use has
 * changed, or half a minute has passed. Where GPUs are partitioned (MIG), a third one once a minute lists the instances.
 * Idle GPUs are polled less often.
 *
 * Without persistence mode, or with many GPUs, a healthy nvidia-smi takes 10 s and more. One that does not answer is
 * therefore given more time at the next look, and until it has answered it is not known which GPUs there are.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { finding } from "../../node/Findings.js"
import type { Finding, GpuInfo, GpuProcess } from "../../node/NodeCapabilities.js"
import type { ProcessError, ProgramFailed, ProgramTimedOut } from "../../process/ProcessRunner.js"
import * as Fingerprint from "../Fingerprint.js"
import type { DeviceFiles } from "../Files.js"
import type { Host } from "../Host.js"
import type { Reading } from "../Probe.js"
import { describeGpu, staleFacts, timeLeft, toolFinding, withoutReadings } from "./Gpu.js"
import { readJetson } from "./Jetson.js"
import { initial, noGpus, type NvidiaFacts } from "./NvidiaFacts.js"
import * as NvidiaReply from "./NvidiaReply.js"
import { type NvidiaField, oldFields, parseMigList, parseProcesses, unknownField } from "./NvidiaSmi.js"
import { addresses, type PciGpu, unheld } from "./PciBus.js"

const subject = "NVIDIA GPUs"

/** How long it is believed that the same programs use the same memory, in milliseconds. */
const processesGoodFor = 30_000

/** How long it is believed that GPUs are partitioned as they were, in milliseconds. */
const migGoodFor = 60_000

/** How long nvidia-smi is given: the host's deadline, and multiples of it after each time that it did not answer. */
const patience = [1, 6, 12] as const

export interface NvidiaOptions
  extends Pick<Host, "tools" | "bus" | "root" | "platform" | "env" | "inContainer" | "idleGoodFor">
{
  readonly deadline: Duration.DurationInput
  readonly files: DeviceFiles
}

/** How long the tool is given at the next look. */
export const deadlineAfter = (deadline: Duration.DurationInput, { timeouts }: NvidiaFacts): Duration.Duration =>
  Duration.times(deadline, patience[Math.min(timeouts, patience.length - 1)] ?? 1)

/** Where nvidia-smi may be. */
const candidates = ({ env, platform, root }: NvidiaOptions): ReadonlyArray<string> => {
  const prefix = root === "/" ? "" : root
  if (platform === "win32") {
    return [
      "nvidia-smi",
      `${env["SystemRoot"] ?? "C:\\Windows"}\\System32\\nvidia-smi.exe`,
      `${env["ProgramFiles"] ?? "C:\\Program Files"}\\NVIDIA Corporation\\NVSMI\\nvidia-smi.exe`
    ]
  }
  // WSL's is often on no service's PATH.
  return ["nvidia-smi", `${prefix}/usr/lib/wsl/lib/nvidia-smi`]
}

/** What the bus has, on a machine without nvidia-smi. */
const withoutTool = (bus: ReadonlyArray<PciGpu>, inContainer: boolean): ReadonlyArray<Finding> => {
  const { missing, passedThrough } = unheld(bus, "nvidia", (gpu) => gpu.driver === "nvidia")
  const held = bus.filter((gpu) => gpu.vendor === "nvidia" && gpu.driver === "nvidia")
  const findings: Array<Finding> = []
  if (passedThrough.length > 0) {
    findings.push(finding({
      code: "nvidia.passed-through",
      severity: "info",
      subject,
      message: `Set aside for virtual machines (vfio-pci): ${addresses(passedThrough)}.`,
      remedy: ""
    }))
  }
  if (held.length > 0) {
    findings.push(
      inContainer
        ? finding({
          code: "nvidia.not-in-container",
          severity: "warning",
          subject,
          message: `The machine has NVIDIA GPUs (${addresses(held)}), but this container was started without them.`,
          remedy: "Start the container with --gpus all, and NVIDIA_DRIVER_CAPABILITIES including utility."
        })
        : finding({
          code: "nvidia.tool-missing",
          severity: "error",
          subject,
          message: `The NVIDIA driver holds ${addresses(held)}, but nvidia-smi is not on the PATH.`,
          remedy: "Install the driver's utilities (nvidia-utils on most distributions)."
        })
    )
  }
  if (missing.length > 0) {
    const nouveau = missing.some((gpu) => gpu.driver === "nouveau")
    findings.push(finding({
      code: "nvidia.driver-missing",
      severity: "warning",
      subject,
      message: `There is no NVIDIA driver for ${addresses(missing)}${nouveau ? " (nouveau holds it)" : ""}.`,
      remedy: "Install the NVIDIA driver and reboot; inference engines cannot use the GPU without it."
    }))
  }
  return findings
}

/** Asks for the table of GPUs. An old driver refuses the query for one field that it does not know: asks without it. */
const query = (
  { tools }: NvidiaOptions,
  tool: string,
  known: ReadonlyArray<NvidiaField>,
  left: Effect.Effect<Duration.Duration>
): Effect.Effect<NvidiaReply.Reply, Exclude<ProcessError, ProgramFailed>> => {
  const ask = (fields: ReadonlyArray<NvidiaField>, tries: number): ReturnType<typeof query> =>
    Effect.flatMap(
      left,
      (time) => tools.run(tool, [`--query-gpu=${fields.join(",")}`, "--format=csv,noheader,nounits"], time)
    ).pipe(
      Effect.map((output): NvidiaReply.Reply => ({ fields, ...output, failure: undefined })),
      Effect.catchTag("ProgramFailed", (failure) => {
        const next = failure.exitCode === 2 && tries < 3 ? fewer(fields, failure, tries) : fields
        return next.length < fields.length
          ? ask(next, tries + 1)
          : Effect.succeed({ fields, stdout: failure.stdout, stderr: failure.stderr, failure })
      })
    )
  return ask(known, 0)
}

/** The fields without the one that was refused, or those that every driver knows. */
const fewer = (
  fields: ReadonlyArray<NvidiaField>,
  { stderr, stdout }: ProgramFailed,
  tries: number
): ReadonlyArray<NvidiaField> => {
  const refused = unknownField(stdout + stderr)
  const without = fields.filter((field) => field !== refused)
  return tries < 2 && without.length < fields.length && without.length > 4 ? without : oldFields
}

/** The instances of GPUs that are partitioned, asked for once a minute. */
const withMig = (
  { tools }: NvidiaOptions,
  tool: string,
  left: Effect.Effect<Duration.Duration>,
  reading: Reading<NvidiaFacts>,
  isPartitioned: boolean
): Effect.Effect<Reading<NvidiaFacts>> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { facts, findings } = reading
    if (!isPartitioned) return Effect.succeed({ ...reading, facts: { ...facts, mig: [], migListedAt: undefined } })
    const at = facts.migListedAt
    if (at !== undefined && now >= at && now - at <= migGoodFor) return Effect.succeed(reading)
    return Effect.flatMap(left, (time) => tools.run(tool, ["-L"], time)).pipe(
      Effect.map(({ stdout }) => ({ ...reading, facts: { ...facts, mig: parseMigList(stdout), migListedAt: now } })),
      Effect.catchAll((error) =>
        Effect.succeed(
          error._tag === "ProgramNotFound" ? reading : {
            ...reading,
            findings: [
              ...findings,
              finding({ ...toolFinding("MIG instances", error), code: "nvidia.mig-unknown", severity: "warning" })
            ]
          }
        )
      )
    )
  })

/** Who uses the GPUs, asked for where what they use has changed. */
const withProcesses = (
  { tools }: NvidiaOptions,
  tool: string,
  left: Effect.Effect<Duration.Duration>,
  reading: Reading<NvidiaFacts>
): Effect.Effect<Reading<NvidiaFacts>> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { facts, findings } = reading
    const used = facts.gpus.map((gpu) => `${gpu.uuid} ${gpu.memoryUsedBytes}`).join()
    const listed = facts.processesListed
    if (listed?.used === used && now >= listed.at && now - listed.at < processesGoodFor) return Effect.succeed(reading)
    const unknown = { ...reading, facts: { ...facts, processes: [], processesListed: undefined } }
    const args = ["--query-compute-apps=gpu_uuid,pid,process_name,used_memory", "--format=csv,noheader,nounits"]
    return Effect.flatMap(left, (time) => tools.run(tool, args, time)).pipe(
      Effect.map(({ stdout }) => ({
        ...reading,
        facts: { ...facts, processes: parseProcesses(stdout), processesListed: { at: now, used } }
      })),
      Effect.catchAll((error): Effect.Effect<Reading<NvidiaFacts>> => {
        if (error._tag === "ProgramNotFound") return Effect.succeed(unknown)
        if (error._tag !== "ProgramFailed") {
          return Effect.succeed({ ...unknown, findings: [...findings, toolFinding(subject, error)] })
        }
        const processes = parseProcesses(error.stdout, error.exitCode !== undefined)
        const about = finding({ ...toolFinding(subject, error), code: "nvidia.processes-unknown", severity: "info" })
        return Effect.succeed({
          ...unknown,
          facts: { ...unknown.facts, processes },
          // What is wrong with the GPUs has been reported already.
          findings: findings.length === 0 ? [about] : findings
        })
      })
    )
  })

/** The GPUs with their MIG instances, and the programs by the GPU that they use. */
const joined = (facts: NvidiaFacts): NvidiaFacts => {
  const parents = new Map(facts.mig.map(({ gpuUuid, instance }) => [instance.uuid, gpuUuid]))
  const users = new Map<string, Array<GpuProcess>>()
  for (const { gpuUuid, process } of facts.processes) {
    const uuid = parents.get(gpuUuid) ?? gpuUuid
    const list = users.get(uuid)
    if (list === undefined) users.set(uuid, [process])
    else list.push(process)
  }
  const gpus = facts.gpus.map((gpu) => {
    const migInstances = facts.mig.filter(({ gpuUuid }) => gpuUuid === gpu.uuid).map(({ instance }) => instance)
    return migInstances.length === gpu.migInstances.length && migInstances.length === 0
      ? gpu
      : describeGpu({ ...gpu, migInstances })
  })
  return { ...facts, gpus, users }
}

const isIdle = ({ gpus, processes }: NvidiaFacts): boolean =>
  processes.length === 0 && gpus.every((gpu) => gpu.healthy && (gpu.utilizationPercent ?? 0) === 0)

const persistence =
  "Turn on persistence mode, so that the driver stays loaded: enable the service nvidia-persistenced, or "
  + "run sudo nvidia-smi -pm 1."

/** The tool did not answer in time: it is given more, and only in the end the GPUs count as not working. */
const outOfTime = (
  options: NvidiaOptions,
  previous: NvidiaFacts,
  error: ProgramTimedOut
): Reading<NvidiaFacts> => {
  const found = toolFinding(subject, error)
  const facts = { ...previous, processes: [], processesListed: undefined, users: new Map<string, never>() }
  if (error.survivor !== undefined) return NvidiaReply.unanswered(facts, [found], "30 seconds")
  if (previous.timeouts >= patience.length - 1) {
    const remedy = `${found.remedy} ${persistence}`
    return NvidiaReply.unanswered(facts, [finding({ ...found, code: "tool.timed-out", remedy })], "30 seconds")
  }
  const next = { ...facts, timeouts: previous.timeouts + 1, gpus: previous.gpus.map((gpu) => withoutReadings(gpu)) }
  return {
    facts: next,
    findings: [finding({
      ...found,
      code: "tool.timed-out",
      severity: "warning",
      message: `${found.message} It is given ${Duration.toSeconds(deadlineAfter(options.deadline, next))} s next.`,
      remedy: persistence
    })]
  }
}

/** What took so long: it answers, but each look costs that time. */
const slow = (millis: number): Finding =>
  finding({
    code: "tool.slow",
    severity: "warning",
    subject,
    message: `nvidia-smi took ${Math.round(millis / 1000)} s to answer.`,
    remedy: persistence
  })

/** Asks the tool, and puts together what it answers. */
const ask = (options: NvidiaOptions, tool: string, previous: NvidiaFacts, jetson: GpuInfo | undefined) =>
  Effect.gen(function*() {
    const bus = yield* options.bus.gpus
    const start = yield* Clock.currentTimeMillis
    const left = yield* timeLeft(deadlineAfter(options.deadline, previous))
    const reply = yield* query(options, tool, previous.fields, left)
    const took = (yield* Clock.currentTimeMillis) - start
    const context = { bus, jetson, platform: options.platform }
    const { hasTable, isPartitioned, reading } = NvidiaReply.judge(reply, previous, context)
    if (!hasTable) return reading
    const listed = yield* withMig(options, tool, left, reading, isPartitioned)
    const used = yield* withProcesses(options, tool, left, listed)
    const facts = joined(used.facts)
    if (took > Duration.toMillis(options.deadline)) {
      return { facts, findings: [...used.findings, slow(took)], goodFor: Duration.millis(5 * took) }
    }
    const goodFor = used.goodFor ?? (isIdle(facts) && used.findings.length === 0 ? options.idleGoodFor : undefined)
    return goodFor === undefined ? { facts, findings: used.findings } : { facts, findings: used.findings, goodFor }
  })

/** The GPUs as they are now, and what is wrong with them. */
export const detect = (options: NvidiaOptions) =>
  Effect.fn("Nvidia.detect")(function*(previous: NvidiaFacts) {
    const tool = yield* options.tools.find(candidates(options))
    const jetson = options.platform === "linux" ? yield* readJetson(options.files) : undefined
    if (tool === undefined) {
      if (jetson !== undefined) return { facts: { ...noGpus, gpus: [jetson] }, findings: [] }
      const findings = withoutTool(yield* options.bus.gpus, options.inContainer())
      return { facts: noGpus, findings, goodFor: "1 minute" }
    }
    return yield* ask(options, tool, previous, jetson).pipe(
      Effect.catchTags({
        // It was there a moment ago: it is being replaced, or taken away.
        ProgramNotFound: () =>
          Effect.succeed<Reading<NvidiaFacts>>({ facts: noGpus, findings: [], goodFor: "10 seconds" }),
        ProgramTimedOut: (error) => Effect.succeed(outOfTime(options, previous, error)),
        // That says nothing about the GPUs.
        ProgramNotStarted: (error) =>
          Effect.succeed<Reading<NvidiaFacts>>({
            facts: { ...previous, gpus: previous.gpus.map((gpu) => withoutReadings(gpu)) },
            findings: [toolFinding(subject, error)],
            goodFor: "10 seconds"
          }),
        ProgramOutputTooLarge: (error) =>
          Effect.succeed(NvidiaReply.unanswered(previous, [toolFinding(subject, error)], "30 seconds"))
      })
    )
  }) as (previous: NvidiaFacts) => Effect.Effect<Reading<NvidiaFacts>>

/** By nvidia-smi, and the files of a Jetson. */
export const fingerprint = (host: Host): Fingerprint.Fingerprint<NvidiaFacts> => {
  const files = host.files()
  return {
    subject,
    initial,
    files,
    detect: detect({ ...host, files }),
    stale: (facts) => ({ ...staleFacts(facts), processes: [], processesListed: undefined }),
    deadline: (previous) => Fingerprint.withTools(deadlineAfter(host.deadline, previous))
  }
}
