/**
 * What a container is to be, as plain data.
 *
 * Two specs with the same {@link hash} describe the same container, so a running container whose label carries the
 * hash of the wanted spec can be kept.
 */
import { createHash } from "node:crypto"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as DockerError from "./api/DockerError.js"
import * as ImageReference from "./api/ImageReference.js"
import { lazy } from "../effect/Lazy.js"

const optional = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optionalWith(schema, { exact: true })

const withDefault = <A, I, R>(schema: Schema.Schema<A, I, R>, value: () => A) =>
  Schema.optionalWith(schema, { exact: true, default: value })

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

const Bytes = Schema.Number.pipe(
  Schema.filter((value) =>
    Number.isSafeInteger(value) && value > 0 || `${shown(value)} is not a positive whole number of bytes`
  )
)

const Port = Schema.Number.pipe(
  Schema.filter((value) => Number.isInteger(value) && value >= 1 && value <= 65_535 || `${shown(value)} is not a port`)
)

const Text = Schema.String.pipe(
  Schema.filter((value) => !value.includes("\0") || "it contains a NUL character")
)

const AbsolutePath = Text.pipe(
  Schema.filter((value) => value.startsWith("/") || `${shown(value)} is not an absolute path`)
)

// Also the drive's form of Windows.
const HostPath = Text.pipe(
  Schema.filter((value) => /^(\/|[A-Za-z]:[\\/])/.test(value) || `${shown(value)} is not an absolute path`)
)

const Address = Schema.String.pipe(
  Schema.filter((value) =>
    /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/.test(value) || `${shown(value)} is not an IP address`
  )
)

/** A port of the container and where on this machine it is to be reached. */
export class PortMapping extends Schema.Class<PortMapping>("@orchion/node-agent/PortMapping")({
  container: Port,
  protocol: withDefault(Schema.Literal("tcp", "udp"), () => "tcp" as const),
  /** Loopback by default: what listens in a container often asks for no password. */
  hostIp: withDefault(Address, () => "127.0.0.1"),
  /** Absent: a free one, which is read from the started container. */
  host: optional(Port)
}) {}

/** A volume that Docker keeps by name: it outlives the container. */
export class VolumeMount extends Schema.TaggedClass<VolumeMount>("@orchion/node-agent/VolumeMount")("Volume", {
  name: Schema.String.pipe(
    Schema.filter((value) =>
      /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(value) || `${shown(value)} is not the name of a volume`
    )
  ),
  target: AbsolutePath,
  readOnly: withDefault(Schema.Boolean, () => false)
}) {}

/** A directory or file of this machine. It must exist. */
export class BindMount extends Schema.TaggedClass<BindMount>("@orchion/node-agent/BindMount")("Bind", {
  source: HostPath,
  target: AbsolutePath,
  readOnly: withDefault(Schema.Boolean, () => false)
}) {}

/** A directory in memory. */
export class TmpfsMount extends Schema.TaggedClass<TmpfsMount>("@orchion/node-agent/TmpfsMount")("Tmpfs", {
  target: AbsolutePath,
  sizeBytes: optional(Bytes)
}) {}

export const Mount = Schema.Union(VolumeMount, BindMount, TmpfsMount)
export type Mount = typeof Mount.Type

/** A device node. */
export class DeviceMapping extends Schema.Class<DeviceMapping>("@orchion/node-agent/DeviceMapping")({
  /** `/dev/kfd`; a directory stands for all device nodes in it. */
  host: AbsolutePath,
  /** Where the container sees it; as on the host when absent. */
  container: optional(AbsolutePath),
  /** Of `r`, `w`, `m` (mknod). */
  permissions: withDefault(
    Schema.String.pipe(
      Schema.filter((value) => /^(?!.*(.).*\1)[rwm]{1,3}$/.test(value) || `${shown(value)} is not made of r, w and m`)
    ),
    () => "rwm"
  )
}) {}

/** GPUs that the container is to see. */
export class GpuRequest extends Schema.Class<GpuRequest>("@orchion/node-agent/GpuRequest")({
  vendor: Schema.Literal("nvidia", "amd"),
  /** Indexes (`0`) or uuids (`GPU-…`, `MIG-…`). */
  devices: Schema.Union(Schema.Literal("all"), Schema.Array(Schema.String)),
  /**
   * How Docker provides them: `hook` by the vendor's runtime hook, `cdi` by the Container Device Interface. `auto`
   * takes what Docker has, which for AMD is always CDI.
   */
  method: withDefault(Schema.Literal("auto", "hook", "cdi"), () => "auto" as const)
}) {}

/** A limit on a resource of processes: `memlock`, `stack`. -1 is unlimited. */
export class Ulimit extends Schema.Class<Ulimit>("@orchion/node-agent/Ulimit")({
  name: Schema.NonEmptyString,
  soft: Schema.Int,
  hard: Schema.Int
}) {}

/** How much of the container's output Docker keeps on disk. */
export class LogLimits extends Schema.Class<LogLimits>("@orchion/node-agent/LogLimits")({
  maxBytes: withDefault(Bytes, () => 10 * 1024 * 1024),
  files: withDefault(Schema.Int.pipe(Schema.between(1, 100)), () => 3)
}) {}

const CapabilityName = Schema.String.pipe(
  Schema.filter((value) => /^[A-Z][A-Z0-9_]{0,63}$/.test(value) || `${shown(value)} is not a Linux capability`)
)

const noTexts = (): Readonly<Record<string, string>> => ({})
const noSecrets = (): Readonly<Record<string, Redacted.Redacted<string>>> => ({})

const fields = {
  /** The container's name. Docker holds at most one container with it. */
  name: Schema.String.pipe(
    Schema.filter((value) =>
      /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/.test(value)
      || `${shown(value)} is not the name of a container: 2 to 128 letters, digits, dots, dashes and underscores`
    )
  ),
  image: Schema.String.pipe(Schema.filter((value) => ImageReference.problem(value) ?? true)),
  /** The image's own when absent. */
  entrypoint: optional(Schema.Array(Text)),
  /** The arguments of the entry point; the image's own when absent. */
  command: optional(Schema.Array(Text)),
  /** Environment variables without secrets: they show in `docker inspect`. */
  env: withDefault(Schema.Record({ key: Schema.String, value: Text }), noTexts),
  /**
   * Environment variables whose values are kept out of labels, logs and the hash's plain form. Whoever may use
   * Docker can still read them there.
   */
  secrets: withDefault(Schema.Record({ key: Schema.String, value: Schema.Redacted(Text) }), noSecrets),
  ports: withDefault(Schema.Array(PortMapping), () => []),
  mounts: withDefault(Schema.Array(Mount), () => []),
  devices: withDefault(Schema.Array(DeviceMapping), () => []),
  gpus: optional(GpuRequest),
  /** Numeric ids of further groups: names are looked up in the image, which rarely has them. */
  groups: withDefault(Schema.Array(Schema.NonNegativeInt), () => []),
  /** The most memory it may use, in bytes, at least the 6 MiB that Docker requires; absent: unlimited. */
  memoryBytes: optional(
    Bytes.pipe(Schema.filter((value) => value >= 6 * 1024 * 1024 || `${shown(value)} bytes are less than 6 MiB`))
  ),
  /** Cores, fractions allowed; absent: all. */
  cpus: optional(
    Schema.Number.pipe(
      Schema.filter((value) => Number.isFinite(value) && value >= 0.01 || `${shown(value)} is not a number of cores`)
    )
  ),
  /** Limit on processes and threads; absent: Docker's default. */
  pidsLimit: optional(Schema.Int.pipe(Schema.positive())),
  /** Of `/dev/shm`; Docker's default is 64 MiB. Means nothing with `ipc: "host"`. */
  shmBytes: optional(Bytes),
  ipc: withDefault(Schema.Literal("private", "shareable", "host"), () => "private" as const),
  ulimits: withDefault(Schema.Array(Ulimit), () => []),
  /** Linux capabilities to add to Docker's default set, or to what `capDrop` leaves of it: `SYS_NICE`. */
  capAdd: withDefault(Schema.Array(CapabilityName), () => []),
  /** Linux capabilities to take away: `ALL`, `NET_RAW`. */
  capDrop: withDefault(Schema.Array(CapabilityName), () => []),
  /** `seccomp=unconfined`. Docker's default profiles apply unless one is named. */
  securityOptions: withDefault(Schema.Array(Schema.NonEmptyString), () => []),
  /** No process in it may gain rights beyond its parent's. */
  noNewPrivileges: withDefault(Schema.Boolean, () => true),
  privileged: withDefault(Schema.Boolean, () => false),
  /** `1000:1000`; the image's own when absent. */
  user: optional(Schema.NonEmptyString),
  workingDirectory: optional(AbsolutePath),
  /** `bridge`, `host`, `none` or the name of a network; Docker's default when absent. */
  network: optional(Schema.NonEmptyString),
  /** A small init as process 1, which reaps orphans and hands on signals. */
  init: withDefault(Schema.Boolean, () => true),
  /** `SIGTERM` unless the image says otherwise. */
  stopSignal: optional(Schema.String.pipe(Schema.pattern(/^(SIG)?[A-Z0-9+-]+$/))),
  /** Seconds from the stop signal to the kill; must be above what the program needs to drain. */
  stopTimeoutSeconds: withDefault(Schema.Int.pipe(Schema.between(0, 3600)), () => 10),
  logs: withDefault(LogLimits, () => LogLimits.make({})),
  /** By which the caller finds its containers again: whose they are, and what for. */
  labels: withDefault(Schema.Record({ key: Schema.String, value: Text }), noTexts)
}

/** What a container is to be. Made by {@link make}. */
export class ContainerSpec extends Schema.Class<ContainerSpec>("@orchion/node-agent/ContainerSpec")(fields) {}

/** What is written to describe a container; secrets are plain strings here. */
export type ContainerSpecInput = typeof ContainerSpec.Encoded

/** The labels that this module sets. All others are the caller's. */
export const Label = {
  /** The {@link hash} of the spec that the container was created from. */
  specHash: "io.orchion.spec-hash",
  /** Unique per creation: identifies the container of a creation that was never answered. */
  runId: "io.orchion.run-id"
} as const

/** Raised when the same spec comes to mean another container: by another default, for one. */
const formatVersion = 2

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

const decode = Schema.decodeUnknownEither(ContainerSpec, { errors: "first", onExcessProperty: "error" })
const encode = Schema.encodeSync(ContainerSpec)

const fieldOf = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    ""
  )

const fail = (field: string, reason: string) => Either.left(new DockerError.SpecInvalid({ field, reason }))

/** Checks a description. What can only be checked on the machine (paths, images) is checked when it is run. */
export const make = (input: ContainerSpecInput): Either.Either<ContainerSpec, DockerError.SpecInvalid> =>
  Either.flatMap(
    Either.mapLeft(decode(input), (error) => {
      const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
      const field = issue === undefined ? "" : fieldOf(issue.path)
      // A formatter's message would quote the value.
      const secret = field.startsWith("secrets.")
      return new DockerError.SpecInvalid({
        field,
        reason: secret ? "is not a text without NUL characters" : issue?.message ?? error.message
      })
    }),
    contradiction
  )

/** What is wrong in names, and what is right field by field and wrong taken together. */
const contradiction = (spec: ContainerSpec): Either.Either<ContainerSpec, DockerError.SpecInvalid> => {
  for (const field of ["env", "secrets"] as const) {
    for (const variable of Object.keys(spec[field])) {
      if (/^[^=\0\s]+$/.test(variable)) continue
      return fail(field, `${shown(variable)} is not the name of an environment variable.`)
    }
  }
  for (const label of Object.keys(spec.labels)) {
    if (label === "") return fail("labels", "a label needs a name.")
    if (label === Label.specHash || label === Label.runId) {
      return fail("labels", `${label} is set when the container is created.`)
    }
  }
  const twice = Object.keys(spec.secrets).find((name) => name in spec.env)
  if (twice !== undefined) return fail(`secrets.${twice}`, `${twice} is in env as well; it can have one value only.`)
  const taken = new Map<string, number>()
  for (const [index, port] of spec.ports.entries()) {
    if (port.host === undefined) continue
    const key = `${port.hostIp}|${port.host}/${port.protocol}`
    const other = taken.get(key)
    if (other !== undefined) {
      return fail(`ports[${index}].host`, `${port.host}/${port.protocol} is given out already, by ports[${other}].`)
    }
    taken.set(key, index)
  }
  const targets = new Map<string, number>()
  for (const [index, mount] of spec.mounts.entries()) {
    const other = targets.get(mount.target)
    if (other !== undefined) {
      return fail(`mounts[${index}].target`, `${mount.target} is where mounts[${other}] is mounted already.`)
    }
    targets.set(mount.target, index)
  }
  if (spec.network === "host" && spec.ports.length > 0) {
    return fail("ports", "with network \"host\" the container has the machine's own ports, none can be published.")
  }
  if (spec.gpus !== undefined && spec.gpus.devices !== "all") {
    if (spec.gpus.devices.length === 0) return fail("gpus.devices", "no GPU is named; leave gpus out for none.")
    const seen = new Set<string>()
    for (const device of spec.gpus.devices) {
      if (!/^[A-Za-z0-9:._/-]+$/.test(device)) {
        return fail("gpus.devices", `${shown(device)} is not an index or uuid of a GPU.`)
      }
      if (seen.has(device)) return fail("gpus.devices", `${device} is named twice.`)
      seen.add(device)
    }
  }
  return Either.right(spec)
}

const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, part]) => part !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
        .map(([key, part]) => [key, canonical(part)])
    )
  }
  return value
}

const required: ReadonlySet<string> = new Set(["name", "image"])

/** The encoded form of a spec that sets nothing but what is required. */
const defaults = lazy((): Readonly<Record<string, unknown>> =>
  encode(ContainerSpec.make({ name: "any", image: "any" }))
)

/**
 * The spec's identity: SHA-256, in hexadecimal digits, over its canonical JSON, in which each secret stands as a hash
 * of its own. Fields that have their default are left out, so that a field that a later version adds changes nothing.
 */
export const hash = (spec: ContainerSpec): string => {
  const unset = defaults()
  const secrets = Object.fromEntries(
    Object.entries(spec.secrets).map(([name, value]) => [name, sha256(`${name}\0${Redacted.value(value)}`)])
  )
  const text = (value: unknown) => JSON.stringify(canonical(value))
  const set = Object.entries({ ...encode(spec), secrets })
    .filter(([field, value]) => required.has(field) || text(value) !== text(unset[field]))
  return sha256(text({ ...Object.fromEntries(set), formatVersion }))
}

/** The caller's labels, and the spec's hash. */
export const labels = (spec: ContainerSpec): Readonly<Record<string, string>> => ({
  ...spec.labels,
  [Label.specHash]: hash(spec)
})
