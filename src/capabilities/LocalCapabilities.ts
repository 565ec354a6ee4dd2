/**
 * The {@link Capabilities} of the machine that this program runs on.
 *
 * What the kernel answers immediately is read at each poll, without a process or a fiber. Everything else is a probe,
 * which runs in the background at its own pace; a poll has what it has found so far.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ClockJump from "../effect/ClockJump.js"
import { known } from "../node/Fields.js"
import { finding } from "../node/Findings.js"
import {
  ContainerRuntimeInfo,
  CpuInfo,
  type DiskInfo,
  type Finding,
  MemoryInfo,
  type NetworkInfo,
  NodeCapabilities,
  OsInfo
} from "../node/NodeCapabilities.js"
import { Capabilities } from "./Capabilities.js"
import * as Cgroup from "./Cgroup.js"
import type * as ContainerRuntime from "./ContainerRuntime.js"
import { architectureOf, type CpuFacts, readLinuxCpu } from "./Cpu.js"
import * as Disks from "./Disks.js"
import { type KernelFiles, kernelFiles } from "./Files.js"
import * as Fingerprint from "./Fingerprint.js"
import type { GpuFacts } from "./gpu/Gpu.js"
import * as Vendors from "./gpu/Vendors.js"
import * as GpuAssembly from "./GpuAssembly.js"
import * as Host from "./Host.js"
import * as MacOs from "./MacOs.js"
import { type MemoryFacts, parseMeminfo } from "./Memory.js"
import * as Network from "./Network.js"
import { type OsFacts, platformOf, readBootId, readLinuxOs } from "./OperatingSystem.js"
import type * as Probe from "./Probe.js"
import * as System from "./System.js"
import * as Windows from "./Windows.js"

/** Where to look. Everything has a default. */
export interface LocalCapabilitiesOptions {
  /** The agent's state directory, whose disk is reported. */
  readonly stateDir?: string
  /** Docker's endpoint, such as `unix:///var/run/docker.sock`; looked for in the usual places when absent. */
  readonly dockerHost?: string
  /** Whom the reported network address must reach; without it no address is reported. */
  readonly orchestratorAddress?: { readonly host: string; readonly port: number }
  /** How long a probe may take before it is cut off, 5 s by default; slow tools are given more at later looks. */
  readonly probeDeadline?: Duration.DurationInput
  /** How long the readings of idle GPUs are good for, 25 s by default: NVIDIA's cost processes. */
  readonly idleGoodFor?: Duration.DurationInput
  /** The processes that are the agent's own, such as its engines: they are not reported as foreign users of a GPU. */
  readonly ownPids?: Effect.Effect<ReadonlySet<number>>
  /** For tests: what is put in front of `/proc`, `/sys`, `/etc` and the like. */
  readonly root?: string
  /** For tests: the `PATH` on which tools are looked up. */
  readonly path?: string
  /** For tests: the environment in which a container's marks and a runtime's address are looked for. */
  readonly env?: NodeJS.ProcessEnv
  /** For tests: `process.platform`. */
  readonly platform?: NodeJS.Platform
}

/** What does not change while the machine is up. */
interface StaticFacts {
  readonly cpu: CpuFacts
  readonly os: OsFacts
  readonly findings: ReadonlyArray<Finding>
}

const readStatic = (files: KernelFiles, platform: NodeJS.Platform, env: NodeJS.ProcessEnv): StaticFacts => {
  if (platform === "linux") {
    const { board, hypervisor, ...cpu } = readLinuxCpu(files)
    return { cpu, os: readLinuxOs(files, env, known({ board, hypervisor })), findings: files.findings() }
  }
  const models = System.processorModels()
  return {
    cpu: known({ model: models[0], logicalCores: models.length > 0 ? models.length : undefined, features: [] }),
    // The name of a Mac's kernel says little: a probe asks macOS.
    os: known({ distribution: platform === "win32" ? System.version() : undefined }),
    findings: []
  }
}

const containers = new Set(["docker", "podman", "kubernetes", "lxc"])

/** The probes of a machine. */
interface Probes {
  readonly gpus: ReadonlyArray<Probe.Probe<GpuFacts>>
  readonly runtime: Probe.Probe<ContainerRuntime.RuntimeFacts | undefined>
  readonly disks: Probe.Probe<ReadonlyArray<DiskInfo>>
  readonly network: Probe.Probe<NetworkInfo | undefined>
  readonly mac?: Probe.Probe<MacOs.MacFacts | undefined>
  readonly macMemory?: Probe.Probe<MemoryFacts>
  readonly windows?: Probe.Probe<CpuFacts | undefined>
  readonly all: ReadonlyArray<Probe.Probe<unknown>>
  /** Whether the disk of the container runtime, which is known only when that has answered, has not been read yet. */
  readonly disksAreStale: () => boolean
}

/** The probes of every platform, but for GPUs. */
const commonProbes = (host: Host.Host, { dockerHost, orchestratorAddress, stateDir }: LocalCapabilitiesOptions) =>
  Effect.gen(function*() {
    const runtimeFiles = host.files()
    const runtime = yield* Fingerprint.probe<ContainerRuntime.RuntimeFacts | undefined>(host, {
      subject: "container runtime",
      initial: undefined,
      files: runtimeFiles,
      detect: (previous) =>
        // What speaks to Docker is loaded when it is needed, off the start's path.
        Effect.tryPromise(() => import("./ContainerRuntime.js")).pipe(
          Effect.flatMap(({ detect }) => detect({ ...host, files: runtimeFiles, dockerHost })),
          Effect.catchAll(() => Effect.succeed({ facts: previous, findings: [], goodFor: "10 seconds" as const }))
        ),
      stale: (facts) => facts
    })
    const dockerDirectory = () =>
      runtime.last().facts?.dataDirectory ?? (host.platform === "linux" ? "/var/lib/docker" : undefined)
    let readAt: string | undefined
    const diskFiles = host.files()
    const disks = yield* Fingerprint.probe<ReadonlyArray<DiskInfo>>(host, {
      subject: "disks",
      initial: [],
      files: diskFiles,
      detect: () => {
        readAt = dockerDirectory()
        return Disks.detect(diskFiles, { state: stateDir, docker: readAt })
      },
      stale: () => []
    })
    const networkFiles = host.files()
    const network = yield* Fingerprint.probe<NetworkInfo | undefined>(host, {
      subject: "network",
      initial: undefined,
      files: networkFiles,
      detect: () => Network.detect(networkFiles, orchestratorAddress),
      stale: (facts) => facts
    })
    return {
      runtime,
      disks,
      network,
      disksAreStale: () => dockerDirectory() !== readAt && dockerDirectory() !== undefined
    }
  })

const macProbes = (host: Host.Host) =>
  Effect.all({
    mac: Fingerprint.probe<MacOs.MacFacts | undefined>(host, {
      subject: "macOS",
      initial: undefined,
      detect: () => MacOs.detectStatic(host.tools, host.deadline),
      stale: (facts) => facts,
      deadline: () => Duration.times(host.deadline, 3)
    }),
    macMemory: Fingerprint.probe<MemoryFacts>(host, {
      subject: "memory",
      initial: {},
      detect: () => MacOs.detectMemory(host.tools, host.deadline, System.totalMemory()),
      stale: () => ({}),
      deadline: () => Duration.times(host.deadline, 3)
    })
  })

const windowsProbes = (host: Host.Host) =>
  Effect.all({
    windows: Fingerprint.probe<CpuFacts | undefined>(host, {
      subject: "processors",
      initial: undefined,
      detect: () => Windows.detectCpu,
      stale: (facts) => facts,
      // It starts PowerShell, which takes its time.
      deadline: () => Duration.times(host.deadline, 6)
    })
  })

const makeProbes = (
  host: Host.Host,
  options: LocalCapabilitiesOptions
): Effect.Effect<Probes, never, Scope.Scope> =>
  Effect.gen(function*() {
    const gpus = yield* Vendors.probes(host)
    const common = yield* commonProbes(host, options)
    const own: Pick<Probes, "mac" | "macMemory" | "windows"> = host.platform === "darwin"
      ? yield* macProbes(host)
      : host.platform === "win32"
      ? yield* windowsProbes(host)
      : {}
    const { disks, network, runtime } = common
    const all = [...gpus, runtime, disks, network, own.mac, own.macMemory, own.windows]
      .filter((probe) => probe !== undefined)
    return { gpus, ...common, ...own, all }
  })

const linuxMemory = (
  files: KernelFiles
): { readonly facts: MemoryFacts; readonly findings: ReadonlyArray<Finding> } => {
  const facts = parseMeminfo(files.text("/proc/meminfo") ?? "")
  return {
    facts,
    findings: facts.totalBytes !== undefined && facts.availableBytes !== undefined ? [] : [finding({
      code: "memory.unknown",
      severity: "warning",
      subject: "memory",
      message: "/proc/meminfo does not say how much memory there is: the reported amounts are estimates.",
      remedy: "Check that /proc is mounted where the agent runs."
    })]
  }
}

/** What a poll reads from. */
interface Sources {
  readonly files: KernelFiles
  readonly statics: StaticFacts
  readonly limits: Cgroup.CgroupReader
  readonly probes: Probes
  readonly platform: NodeJS.Platform
}

/** Memory and processors, with what our control groups allow of them. */
const readResources = ({ files, limits, platform, probes, statics }: Sources) => {
  const facts: CpuFacts = { ...statics.cpu, ...probes.mac?.last().facts?.cpu, ...probes.windows?.last().facts }
  const logicalCores = Math.max(1, facts.logicalCores ?? System.processorModels().length)
  const read = platform === "linux"
    ? linuxMemory(files)
    : { facts: probes.macMemory?.last().facts ?? {}, findings: [] }
  const totalBytes = read.facts.totalBytes ?? System.totalMemory()
  const limit = platform === "linux" ? limits.read(files, { memoryBytes: totalBytes, cores: logicalCores }) : {}
  const memory = new MemoryInfo(
    known({
      ...read.facts,
      totalBytes,
      availableBytes: Math.min(totalBytes, read.facts.availableBytes ?? System.freeMemory()),
      limitBytes: limit.memoryBytes,
      limitUsedBytes: limit.memoryUsedBytes
    })
  )
  const cpu = new CpuInfo(
    known({ ...facts, architecture: architectureOf(process.arch), logicalCores, limitCores: limit.cores })
  )
  return { cpu, memory, findings: read.findings }
}

/** Everything that is known now, without waiting. */
const snapshot = (sources: Sources, ownPids: ReadonlySet<number>): NodeCapabilities => {
  const { files, platform, probes, statics } = sources
  const { cpu, findings: memoryFindings, memory } = readResources(sources)
  const vendors = probes.gpus.map((probe) => ({
    subject: probe.subject,
    hasRun: probe.hasRun(),
    ...probe.last().facts
  }))
  const gpus = GpuAssembly.join(vendors, memory, ownPids)
  const runtime = probes.runtime.last().facts
  const access = runtime === undefined ? undefined : GpuAssembly.containerAccess(runtime, gpus, platform)
  const os = new OsInfo(
    known({
      ...statics.os,
      ...probes.mac?.last().facts?.os,
      hostname: System.hostname(),
      platform: platformOf(platform),
      release: System.release(),
      uptimeSeconds: Math.floor(System.uptime())
    })
  )
  return new NodeCapabilities(
    known({
      cpu,
      memory,
      os,
      gpus,
      disks: probes.disks.last().facts,
      network: probes.network.last().facts,
      containerRuntime: runtime === undefined ? undefined : new ContainerRuntimeInfo(
        known({ kind: runtime.kind, version: runtime.version, gpuReady: access?.gpuReady })
      ),
      findings: [
        ...GpuAssembly.unknown(vendors),
        ...probes.all.flatMap((probe) => probe.last().findings),
        ...(access?.findings ?? []),
        ...memoryFindings,
        ...statics.findings,
        ...files.findings()
      ]
    })
  )
}

/** Detects the machine until the scope closes, which ends every probe that still runs. */
export const make = (
  options: LocalCapabilitiesOptions = {}
): Effect.Effect<typeof Capabilities.Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    let statics: StaticFacts | undefined
    const readStatics = (files: KernelFiles): StaticFacts => {
      const facts = statics ?? readStatic(files, host.platform, host.env)
      // What was refused for want of resources is asked for again.
      if (!files.wasRefused()) statics = facts
      return facts
    }
    const host: Host.Host = yield* Host.make({
      ...options,
      ...(options.probeDeadline === undefined ? {} : { deadline: options.probeDeadline }),
      inContainer: () => containers.has(readStatics(kernelFiles(host.root)).os.virtualization ?? "")
    })
    const { platform, root } = host
    const limits = yield* Cgroup.makeReader
    const probes = yield* makeProbes(host, options)
    const jump = yield* ClockJump.make()

    const current = Effect.map(options.ownPids ?? Effect.succeed(new Set<number>()), (ownPids) => {
      const files = kernelFiles(root)
      return snapshot({ files, statics: readStatics(files), limits, probes, platform }, ownPids)
    })
    const forget = Effect.zipRight(
      host.forget,
      Effect.sync(() => {
        statics = undefined
        for (const probe of probes.all) probe.forget()
      })
    )
    /** After a sleep, a restored snapshot or a clock that was set, what was found before may no longer be true. */
    const noticeInterruption = Effect.flatMap(jump.check(), (jumped) => {
      const before = platform === "linux" ? statics?.os.bootId : undefined
      const bootId = before === undefined ? undefined : readBootId(kernelFiles(root))
      return jumped !== 0 || bootId !== before ? forget : Effect.void
    })
    /** Without a fiber where nothing is due, as at two of three looks of an idle machine. */
    const startDue = Effect.clockWith((clock) => {
      const now = clock.unsafeCurrentTimeMillis()
      const due = probes.all.filter((probe) => probe.isDue(now))
      return due.length === 0 ? Effect.void : Effect.forEach(due, (probe) => probe.start, { discard: true })
    })
    const start = Effect.zipRight(noticeInterruption, startDue)
    const settle = Effect.gen(function*() {
      yield* Effect.forEach(probes.all, (probe) => probe.settled, { discard: true })
      if (probes.disksAreStale()) {
        probes.disks.forget()
        yield* probes.disks.run
      }
    })
    const wait = (limit: Duration.DurationInput) =>
      Effect.suspend(() =>
        probes.all.some((probe) => probe.isRunning()) ? Effect.timeoutOption(settle, limit) : Effect.void
      )
    const readWithin = (limit: Duration.DurationInput) =>
      start.pipe(Effect.zipRight(wait(limit)), Effect.zipRight(current))
    const patience = Fingerprint.withTools(host.deadline)
    return {
      current,
      read: Effect.withSpan(Effect.zipRight(start, current), "Capabilities.read"),
      readWithin: Effect.fn("Capabilities.readWithin")(readWithin),
      readAll: Effect.withSpan(
        readWithin(platform === "darwin" ? Duration.times(patience, 4) : patience),
        "Capabilities.readAll"
      ),
      forget
    }
  })

/** {@link make} as a layer. */
export const layer = (options: LocalCapabilitiesOptions = {}): Layer.Layer<Capabilities> =>
  Layer.scoped(Capabilities, make(options))
