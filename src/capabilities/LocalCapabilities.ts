/**
 * The {@link Capabilities} of the machine that this program runs on.
 *
 * What the kernel tells at once is read at each `read`, without a process. Everything else is a probe, which runs in
 * the background, at its own pace, and of which `read` gives what is known so far.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as os from "node:os"
import { Capabilities } from "./Capabilities.js"
import * as Cgroup from "./Cgroup.js"
import * as ContainerRuntime from "./ContainerRuntime.js"
import { architectureOf, type CpuFacts, readLinuxCpu } from "./Cpu.js"
import * as Disks from "./Disks.js"
import { known, unchecked } from "../node/Fields.js"
import { type DeviceFiles, deviceFiles, type KernelFiles, kernelFiles } from "./Files.js"
import { finding } from "../node/Findings.js"
import * as Amd from "./gpu/Amd.js"
import * as Apple from "./gpu/Apple.js"
import * as Drm from "./gpu/Drm.js"
import { describeGpu, silenced } from "./gpu/Gpu.js"
import * as Intel from "./gpu/Intel.js"
import * as Nvidia from "./gpu/Nvidia.js"
import * as PciBus from "./gpu/PciBus.js"
import * as MacOs from "./MacOs.js"
import { type MemoryFacts, parseMeminfo } from "./Memory.js"
import * as Network from "./Network.js"
import {
  ContainerRuntimeInfo,
  CpuInfo,
  type DiskInfo,
  type Finding,
  type GpuInfo,
  type GpuProcess,
  MemoryInfo,
  type NetworkInfo,
  NodeCapabilities,
  OsInfo
} from "../node/NodeCapabilities.js"
import { type OsFacts, platformOf, readBootId, readLinuxOs } from "./OperatingSystem.js"
import * as Probe from "./Probe.js"
import * as Tool from "../process/Tool.js"
import * as Windows from "./Windows.js"

/** What to look at, and where. Everything has a default. */
export interface LocalCapabilitiesOptions {
  /** The agent's state directory, whose disk is reported. */
  readonly stateDir?: string
  /** Docker's endpoint, such as `unix:///var/run/docker.sock`; looked for where it usually is when absent. */
  readonly dockerHost?: string
  /** Who the reported network address must reach; without it no address is reported. */
  readonly orchestratorAddress?: { readonly host: string; readonly port: number }
  /** How long a probe may take before it is killed: 5 s. */
  readonly probeDeadline?: Duration.DurationInput
  /** The processes that are the agent's own, such as its engines: they are not reported as foreign users of a GPU. */
  readonly ownPids?: Effect.Effect<ReadonlySet<number>>
  /** For tests: what is put in front of `/proc`, `/sys`, `/etc` and the like. */
  readonly root?: string
  /** For tests: the `PATH` on which tools are looked for. */
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
  const cpus = os.cpus()
  return {
    cpu: known({ model: cpus[0]?.model, logicalCores: cpus.length > 0 ? cpus.length : undefined, features: [] }),
    // The kernel's own name of a Mac's system says little: that is asked in the background.
    os: known({ distribution: platform === "win32" ? os.version() : undefined }),
    findings: []
  }
}

/** A wall clock that went this much faster or slower than the time that passed was set, or stood still with the machine. */
const clockJumpMillis = 10_000

const containers = new Set(["docker", "podman", "kubernetes", "lxc"])

/** The facts that a probe has when it is late, and why it is. */
const late = <A>(facts: A, subject: string, files: DeviceFiles, deadline: Duration.DurationInput): Probe.Reading<A> => {
  const stuck = files.stuck()
  return {
    facts,
    findings: [finding({
      code: "probe.timed-out",
      severity: "error",
      subject,
      message: stuck === undefined
        ? `${subject}: no answer within ${Duration.toSeconds(deadline)} s.`
        : `${subject}: ${stuck} does not answer.`,
      remedy: stuck === undefined
        ? "Look at what it depends on: name servers, the container runtime, the load of this machine."
        : "What it is on hangs, a driver or a network file system: look at the kernel's log (dmesg), or reboot."
    })],
    goodFor: "30 seconds"
  }
}

/** The memory of a GPU that has none of its own is the system's. */
const withSystemMemory = (gpu: GpuInfo, memory: MemoryInfo): GpuInfo =>
  gpu.unifiedMemory && gpu.memoryTotalBytes === undefined
    ? describeGpu({
      ...gpu,
      memoryTotalBytes: memory.totalBytes,
      memoryUsedBytes: memory.totalBytes - memory.availableBytes,
      memoryFreeBytes: memory.availableBytes
    })
    : gpu

/** Detects the machine until the scope closes, which ends every probe that still runs. */
export const make = (
  options: LocalCapabilitiesOptions = {}
): Effect.Effect<typeof Capabilities.Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const root = options.root ?? "/"
    const platform = options.platform ?? process.platform
    const env = options.env ?? process.env
    const deadline = Duration.decode(options.probeDeadline ?? "5 seconds")
    const tools = Tool.make({ path: options.path ?? env.PATH ?? "", env, platform })
    const busFiles = deviceFiles(root)
    const bus = PciBus.make(busFiles)
    const limits = Cgroup.makeReader()
    let statics: StaticFacts | undefined

    const readStatics = () => statics ??= readStatic(kernelFiles(root), platform, env)
    const inContainer = () => containers.has(readStatics().os.virtualization ?? "")

    /** A probe that reads files of drivers: it ends at the deadline, and does not start while a read of it hangs. */
    const probe = <A>(config: {
      readonly subject: string
      readonly initial: A
      readonly files: DeviceFiles
      readonly detect: (previous: A) => Effect.Effect<Probe.Reading<A>>
      /** What is still true when it is late. */
      readonly stale: (previous: A) => A
      readonly allowed?: Duration.Duration
    }) =>
      Probe.make<A>({
        subject: config.subject,
        initial: config.initial,
        detect: (previous) =>
          Effect.suspend(() => {
            const allowed = config.allowed ?? deadline
            const tooLate = () => late(config.stale(previous), config.subject, config.files, allowed)
            if (config.files.stuck() !== undefined) return Effect.succeed(tooLate())
            return Effect.map(
              Effect.timeoutOption(config.detect(previous), allowed),
              Option.getOrElse(tooLate)
            )
          })
      })

    // Tools have deadlines of their own, and a killed one is waited for a little: then what the others told is kept.
    const withTools = Duration.sum(deadline, "1 second")

    const nvidiaFiles = deviceFiles(root)
    const nvidia = yield* probe<Nvidia.NvidiaFacts>({
      subject: "NVIDIA GPUs",
      initial: Nvidia.noFacts,
      files: nvidiaFiles,
      detect: Nvidia.detect({ tools, bus, files: nvidiaFiles, deadline, root, platform, env, inContainer }),
      stale: (facts) => ({
        ...facts,
        gpus: facts.gpus.map((gpu) => silenced(gpu, "does not answer")),
        processes: [],
        processesListed: undefined
      }),
      allowed: withTools
    })
    const amdFiles = deviceFiles(root)
    const amdCards = Drm.make(amdFiles)
    const amdProbe = Amd.make({ files: amdFiles, drm: amdCards, bus, tools, deadline, platform })
    const amd = yield* probe<Amd.AmdFacts>({
      subject: "AMD GPUs",
      initial: Amd.noFacts,
      files: amdFiles,
      detect: () => amdProbe.detect,
      stale: (facts) => ({ gpus: facts.gpus.map((gpu) => silenced(gpu, "does not answer")), processes: new Map() }),
      allowed: withTools
    })
    const intelFiles = deviceFiles(root)
    const intelCards = Drm.make(intelFiles)
    const intelProbe = Intel.make({ files: intelFiles, drm: intelCards, bus, tools, deadline, platform })
    const intel = yield* probe<ReadonlyArray<GpuInfo>>({
      subject: "Intel GPUs",
      initial: [],
      files: intelFiles,
      detect: () => intelProbe.detect,
      stale: (gpus) => gpus.map((gpu) => silenced(gpu, "does not answer")),
      allowed: withTools
    })
    const apple = yield* Probe.make<ReadonlyArray<GpuInfo>>({
      subject: "GPUs",
      initial: [],
      detect: () => Apple.detect({ tools, deadline, platform })
    })
    const runtimeFiles = deviceFiles(root)
    const runtime = yield* probe<ContainerRuntime.RuntimeFacts | undefined>({
      subject: "container runtime",
      initial: undefined,
      files: runtimeFiles,
      detect: () =>
        ContainerRuntime.detect({ files: runtimeFiles, dockerHost: options.dockerHost, env, platform, root }),
      stale: (facts) => facts
    })
    const dockerPlace = () =>
      runtime.last().facts?.dataDirectory ?? (platform === "linux" ? "/var/lib/docker" : undefined)
    let lookedAt: string | undefined
    const diskFiles = deviceFiles(root)
    const disks = yield* probe<ReadonlyArray<DiskInfo>>({
      subject: "disks",
      initial: [],
      files: diskFiles,
      detect: () => {
        lookedAt = dockerPlace()
        return Disks.detect(diskFiles, { state: options.stateDir, docker: lookedAt })
      },
      stale: () => []
    })
    const networkFiles = deviceFiles(root)
    const network = yield* probe<NetworkInfo | undefined>({
      subject: "network",
      initial: undefined,
      files: networkFiles,
      detect: () => Network.detect(networkFiles, options.orchestratorAddress),
      stale: (facts) => facts
    })
    const mac = yield* Probe.make<MacOs.MacFacts | undefined>({
      subject: "macOS",
      initial: undefined,
      detect: () => MacOs.detectStatic(tools, deadline)
    })
    const macMemory = yield* Probe.make<MemoryFacts>({
      subject: "memory",
      initial: {},
      detect: () => MacOs.detectMemory(tools, deadline, os.totalmem())
    })
    const windows = yield* Probe.make<CpuFacts | undefined>({
      subject: "processors",
      initial: undefined,
      detect: () => Windows.detectCpu
    })
    const always = [nvidia, amd, intel, runtime, disks, network]
    const probes: ReadonlyArray<Probe.Probe<unknown>> = platform === "darwin"
      ? [...always, apple, mac, macMemory]
      : platform === "win32"
      ? [...always, windows]
      : always

    /** Who else uses a GPU, by what the vendors' probes know. */
    const foreign = (own: ReadonlySet<number>) => {
      const facts = nvidia.last().facts
      const parents = new Map(facts.mig.map(({ gpuUuid, instance }) => [instance.uuid, gpuUuid]))
      const byUuid = new Map<string, Array<GpuProcess>>()
      for (const { gpuUuid, process } of facts.processes) {
        const uuid = parents.get(gpuUuid) ?? gpuUuid
        const list = byUuid.get(uuid) ?? []
        list.push(process)
        byUuid.set(uuid, list)
      }
      const byAddress = amd.last().facts.processes
      return (gpu: GpuInfo): ReadonlyArray<GpuProcess> =>
        [...(byUuid.get(gpu.uuid ?? "") ?? []), ...(byAddress.get(gpu.pciAddress ?? "") ?? [])]
          .filter(({ pid }) => !own.has(pid))
    }

    const gpusOf = (memory: MemoryInfo, own: ReadonlySet<number>): ReadonlyArray<GpuInfo> => {
      const { gpus, mig } = nvidia.last().facts
      const users = foreign(own)
      return [...gpus, ...amd.last().facts.gpus, ...intel.last().facts, ...apple.last().facts].map((gpu) => {
        const foreignProcesses = users(gpu)
        const migInstances = mig.filter(({ gpuUuid }) => gpuUuid === gpu.uuid).map(({ instance }) => instance)
        const whole = foreignProcesses.length + migInstances.length === 0
          ? gpu
          : describeGpu({ ...gpu, foreignProcesses, migInstances })
        return withSystemMemory(whole, memory)
      })
    }

    /** Whether containers can have these GPUs, and the finding where they cannot. */
    const readiness = (facts: ContainerRuntime.RuntimeFacts, gpus: ReadonlyArray<GpuInfo>) => {
      const { kind, nvidiaReady } = facts
      const wants = gpus.some((gpu) => gpu.vendor === "nvidia")
      if (wants && !nvidiaReady && platform === "linux") {
        return {
          gpuReady: false,
          findings: [finding({
            code: "runtime.no-gpu-support",
            severity: "warning",
            subject: "container runtime",
            message: `${kind === "docker" ? "Docker" : "Podman"} cannot hand this machine's NVIDIA GPUs to containers.`,
            remedy: "Install nvidia-container-toolkit, then run: sudo nvidia-ctk "
              + (kind === "docker"
                ? "runtime configure --runtime=docker && sudo systemctl restart docker"
                : "cdi generate --output=/etc/cdi/nvidia.yaml")
          })]
        }
      }
      // The other vendors' GPUs are handed over as plain devices.
      const plain = platform === "linux" && gpus.some((gpu) => gpu.vendor === "amd" || gpu.vendor === "intel")
      return { gpuReady: platform !== "darwin" && (nvidiaReady || plain), findings: [] }
    }

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
          message: "/proc/meminfo does not say how much memory there is: the figures are an estimate.",
          remedy: "Check that /proc is mounted where the agent runs."
        })]
      }
    }

    const gpuProbes: ReadonlyArray<Probe.Probe<unknown>> = platform === "darwin" ? [apple] : [nvidia, amd, intel]
    const gpusKnown = () => gpuProbes.every((one) => one.hasRun())
    const pending = finding({
      code: "gpu.unknown",
      severity: "info",
      subject: "GPUs",
      message: "GPUs are not known yet: detection has not ended.",
      remedy: ""
    })

    /** Everything that is known now. Nothing in it waits. */
    const snapshot = (own: ReadonlySet<number>): NodeCapabilities => {
      const files = kernelFiles(root)
      const { cpu: staticCpu, findings: staticFindings, os: staticOs } = readStatics()
      const cpu = { ...staticCpu, ...mac.last().facts?.cpu, ...windows.last().facts }
      const logicalCores = Math.max(1, cpu.logicalCores ?? os.cpus().length)
      const told = platform === "linux" ? linuxMemory(files) : { facts: macMemory.last().facts, findings: [] }
      const totalBytes = told.facts.totalBytes ?? os.totalmem()
      const limit = platform === "linux" ? limits.read(files, { memoryBytes: totalBytes, cores: logicalCores }) : {}
      const memory = new MemoryInfo(
        known({
          ...told.facts,
          totalBytes,
          availableBytes: Math.min(totalBytes, told.facts.availableBytes ?? os.freemem()),
          limitBytes: limit.memoryBytes,
          limitUsedBytes: limit.memoryUsedBytes
        }),
        unchecked
      )
      const gpus = gpusOf(memory, own)
      const runs = runtime.last().facts
      const ready = runs === undefined ? undefined : readiness(runs, gpus)
      return new NodeCapabilities(
        known({
          cpu: new CpuInfo(
            known({
              ...cpu,
              architecture: architectureOf(process.arch),
              logicalCores,
              limitCores: limit.cores
            }),
            unchecked
          ),
          memory,
          os: new OsInfo(
            known({
              ...staticOs,
              ...mac.last().facts?.os,
              hostname: os.hostname(),
              platform: platformOf(platform),
              release: os.release(),
              uptimeSeconds: Math.floor(os.uptime())
            }),
            unchecked
          ),
          gpus,
          disks: disks.last().facts,
          network: network.last().facts,
          containerRuntime: runs === undefined
            ? undefined
            : new ContainerRuntimeInfo(
              known({ kind: runs.kind, version: runs.version, gpuReady: ready?.gpuReady }),
              unchecked
            ),
          findings: [
            ...(gpusKnown() ? [] : [pending]),
            ...probes.flatMap((one) => one.last().findings),
            ...(ready?.findings ?? []),
            ...told.findings,
            ...staticFindings,
            ...files.findings()
          ]
        }),
        unchecked
      )
    }

    const answer = Effect.map(options.ownPids ?? Effect.succeed(new Set<number>()), snapshot)
    const forget = Effect.gen(function*() {
      statics = undefined
      yield* Effect.all([
        tools.forget,
        bus.forget,
        amdCards.forget,
        intelCards.forget,
        amdProbe.forget,
        intelProbe.forget
      ])
      yield* Effect.forEach(probes, (one) => one.forget, { discard: true })
    })

    /** The wall clock minus the steady one at the last look. */
    let clockOffset: number | undefined
    /** After a sleep, a restored snapshot or a clock that was set, what was found before may be true no more. */
    const noticeInterruption = Effect.clockWith((clock) =>
      Effect.suspend(() => {
        const offset = clock.unsafeCurrentTimeMillis() - Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
        const jumped = clockOffset !== undefined && Math.abs(offset - clockOffset) >= clockJumpMillis
        clockOffset = offset
        const bootId = statics === undefined || platform !== "linux" ? undefined : readBootId(kernelFiles(root))
        return jumped || bootId !== statics?.os.bootId && bootId !== undefined ? forget : Effect.void
      })
    )
    const start = Effect.zipRight(noticeInterruption, Effect.forEach(probes, (one) => one.start, { discard: true }))

    const settle = Effect.gen(function*() {
      yield* Effect.forEach(probes, (one) => one.settled, { discard: true })
      // Where the runtime keeps its images may be known only now.
      const place = dockerPlace()
      if (place !== undefined && place !== lookedAt) yield* Effect.zipRight(disks.forget, disks.run)
    })
    const readWithin = (limit: Duration.DurationInput) =>
      start.pipe(Effect.zipRight(Effect.timeoutOption(settle, limit)), Effect.zipRight(answer))
    return {
      current: answer,
      read: Effect.zipRight(start, answer),
      readWithin,
      readAll: readWithin(platform === "darwin" ? Duration.times(withTools, 4) : withTools),
      forget
    }
  })

/** {@link make} as a layer. */
export const layer = (options: LocalCapabilitiesOptions = {}): Layer.Layer<Capabilities> =>
  Layer.scoped(Capabilities, make(options))
