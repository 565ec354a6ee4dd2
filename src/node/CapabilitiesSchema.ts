/**
 * The schema of what is known about a machine.
 *
 * An absent field is unknown: nothing here is ever filled with a zero or a guess.
 * The encoded form of {@link NodeCapabilities} is what `node-agent capabilities --json` prints.
 */
import * as Schema from "effect/Schema"

const optional = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optionalWith(schema, { exact: true })

const Count = Schema.NonNegativeInt
/** Bytes: a whole number, never negative. */
const Bytes = Schema.NonNegativeInt
const Quantity = Schema.Finite.pipe(Schema.nonNegative())

/** How much a finding matters: `error` means that something does not work. */
export const Severity = Schema.Literal("info", "warning", "error")
export type Severity = typeof Severity.Type

/** Something about the machine that a person should know and can fix. */
export class Finding extends Schema.Class<Finding>("@orchion/node-agent/Finding")({
  /** Stable, for programs: `nvidia.driver-mismatch`. Those of this machine are listed in `Findings.ts`. */
  code: Schema.NonEmptyString,
  severity: Severity,
  /** What it is about: `gpu 3`, `memory`. */
  subject: Schema.String,
  /** What is wrong, in a sentence. */
  message: Schema.String,
  /** What to do about it; empty when there is nothing to do. */
  remedy: Schema.String
}) {}

/** The processors of the machine. */
export class CpuInfo extends Schema.Class<CpuInfo>("@orchion/node-agent/CpuInfo")({
  /** As the vendor writes it: `AMD EPYC 9654 96-Core Processor`. */
  model: optional(Schema.String),
  vendor: optional(Schema.String),
  /** In Go's names: `amd64`, `arm64`, `arm`. */
  architecture: Schema.NonEmptyString,
  sockets: optional(Count),
  physicalCores: optional(Count),
  /** Hardware threads of the machine, those outside our cgroup's limit included. */
  logicalCores: Schema.Int.pipe(Schema.positive()),
  baseMhz: optional(Count),
  maxMhz: optional(Count),
  /** How many cores the agent's cgroup and CPU set may use; absent when unlimited. */
  limitCores: optional(Quantity),
  /**
   * The instruction sets that inference engines ask for: `avx`, `avx2`, `fma`, `f16c`, `avx_vnni`, `avx512f`,
   * `avx512_vnni`, `avx512_bf16`, `amx`; `neon`, `dotprod`, `i8mm`, `bf16`, `sve`, `sve2`.
   */
  features: Schema.Array(Schema.String)
}) {}

/** The main memory of the machine. */
export class MemoryInfo extends Schema.Class<MemoryInfo>("@orchion/node-agent/MemoryInfo")({
  totalBytes: Bytes,
  /** What programs can still get without swapping. */
  availableBytes: Bytes,
  swapTotalBytes: optional(Bytes),
  swapFreeBytes: optional(Bytes),
  /** What the agent's cgroup may use, the minimum over its ancestors; absent when unlimited. */
  limitBytes: optional(Bytes),
  /** What the cgroup that sets the limit uses now, without the file cache that it can drop. */
  limitUsedBytes: optional(Bytes)
}) {}

/** The operating system and what it runs on. */
export class OsInfo extends Schema.Class<OsInfo>("@orchion/node-agent/OsInfo")({
  hostname: Schema.String,
  /** In Go's names: `linux`, `darwin`, `windows`. */
  platform: Schema.NonEmptyString,
  /** Of the kernel: `6.1.0-13-amd64`. */
  release: Schema.String,
  /** `Debian GNU/Linux 12 (bookworm)`. */
  distribution: optional(Schema.String),
  /**
   * `docker`, `podman`, `kubernetes`, `lxc`, `wsl`, the hypervisor's name (`kvm`, `vmware`, `virtualbox`, `hyperv`,
   * `xen`, `parallels`, `bhyve`, `apple`), `vm` for one without a known name, or `none`.
   */
  virtualization: optional(Schema.String),
  /** The model of a board or a Mac: `Raspberry Pi 5 Model B Rev 1.0`, `Mac15,7`. */
  board: optional(Schema.String),
  /** Changes at every boot. */
  bootId: optional(Schema.String),
  uptimeSeconds: Quantity
}) {}

/** A slice of an NVIDIA GPU that is partitioned (Multi-Instance GPU). */
export class MigInstance extends Schema.Class<MigInstance>("@orchion/node-agent/MigInstance")({
  uuid: Schema.String,
  /** `1g.10gb`. */
  profile: Schema.String,
  memoryTotalBytes: optional(Bytes)
}) {}

/** A program that uses a GPU. */
export class GpuProcess extends Schema.Class<GpuProcess>("@orchion/node-agent/GpuProcess")({
  pid: Count,
  name: Schema.String,
  memoryUsedBytes: optional(Bytes)
}) {}

export const GpuVendor = Schema.Literal("nvidia", "amd", "intel", "apple")
export type GpuVendor = typeof GpuVendor.Type

/** One GPU. */
export class GpuInfo extends Schema.Class<GpuInfo>("@orchion/node-agent/GpuInfo")({
  vendor: GpuVendor,
  model: Schema.String,
  uuid: optional(Schema.String),
  /** In the order of the vendor's tool. */
  index: optional(Count),
  /** `0000:3b:00.0`. */
  pciAddress: optional(Schema.String),
  memoryTotalBytes: optional(Bytes),
  memoryUsedBytes: optional(Bytes),
  memoryFreeBytes: optional(Bytes),
  /**
   * The GPU shares the system's memory: its memory is then what it may take of that, or the system's where the
   * driver does not say.
   */
  unifiedMemory: Schema.Boolean,
  utilizationPercent: optional(Quantity),
  temperatureCelsius: optional(Schema.Finite),
  powerDrawWatts: optional(Quantity),
  powerLimitWatts: optional(Quantity),
  driverVersion: optional(Schema.String),
  /** NVIDIA's `9.0`, or AMD's `gfx942`. */
  computeCapability: optional(Schema.String),
  migInstances: Schema.Array(MigInstance),
  /** Programs that use it and are not the agent's. */
  foreignProcesses: Schema.Array(GpuProcess),
  healthy: Schema.Boolean,
  /** When not healthy: what is wrong. */
  healthProblem: optional(Schema.String)
}) {}

/** A disk that matters to the agent. */
export class DiskInfo extends Schema.Class<DiskInfo>("@orchion/node-agent/DiskInfo")({
  /** `state` (the agent's state directory) or `docker` (Docker's data directory). */
  purpose: Schema.String,
  path: Schema.String,
  totalBytes: Bytes,
  /** Free to an unprivileged user. */
  freeBytes: Bytes
}) {}

/** How the machine reaches its orchestrator. */
export class NetworkInfo extends Schema.Class<NetworkInfo>("@orchion/node-agent/NetworkInfo")({
  /** The local address that reaches the orchestrator. */
  address: optional(Schema.String),
  interface: optional(Schema.String),
  linkMbps: optional(Count)
}) {}

/** What runs containers here. */
export class ContainerRuntimeInfo
  extends Schema.Class<ContainerRuntimeInfo>("@orchion/node-agent/ContainerRuntimeInfo")({
    kind: Schema.Literal("docker", "podman"),
    version: optional(Schema.String),
    /** Whether it can hand GPUs to containers. */
    gpuReady: optional(Schema.Boolean)
  })
{}

/** Everything that is known about a machine. */
export class NodeCapabilities extends Schema.Class<NodeCapabilities>("@orchion/node-agent/NodeCapabilities")({
  cpu: CpuInfo,
  memory: MemoryInfo,
  os: OsInfo,
  gpus: Schema.Array(GpuInfo),
  disks: Schema.Array(DiskInfo),
  network: optional(NetworkInfo),
  containerRuntime: optional(ContainerRuntimeInfo),
  findings: Schema.Array(Finding)
}) {}
