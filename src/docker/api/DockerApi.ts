/** What Docker's HTTP API answers, as far as we read it, turned into our own data. */
import * as Schema from "effect/Schema"
import type * as Container from "./Container.js"

// Docker and Podman leave out fields, or write null, where there is nothing to say.
const maybe = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { nullable: true })

const Texts = Schema.Record({ key: Schema.String, value: Schema.String })

/** Also what stands for unlimited: JSON.parse cannot hold 64 bits, so what is beyond its precision is not a figure. */
const figure = (value: number | undefined): number | undefined =>
  value === undefined || !Number.isFinite(value) || value < 0 || value > Number.MAX_SAFE_INTEGER ? undefined : value

const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  // A computed key widens to an index signature.
  value === undefined ? {} : { [key]: value } as { readonly [P in K]?: A }

/** Milliseconds since 1970 of `2026-05-07T21:09:36.123456789Z`; `undefined` for the year 1, which means never. */
const time = (text: string | undefined): number | undefined => {
  if (text === undefined || text.startsWith("0001-")) return undefined
  const millis = Date.parse(text)
  return Number.isNaN(millis) ? undefined : millis
}

const isPort = (value: number | undefined): value is number =>
  value !== undefined && Number.isInteger(value) && value >= 1 && value <= 65_535

const states = new Set<string>(["created", "running", "paused", "restarting", "removing", "exited", "dead"])

const isState = (text: string): text is Container.ContainerState => states.has(text)

// Podman has states of its own: configured, initialized, stopped, stopping.
const state = (text: string): Container.ContainerState => {
  const lower = text.toLowerCase()
  if (isState(lower)) return lower
  return lower.startsWith("stop") ? "exited" : "created"
}

const name = (text: string | undefined): string => text?.replace(/^\//, "") ?? ""

export const Version = Schema.Struct({
  Version: Schema.String,
  ApiVersion: Schema.String,
  Os: maybe(Schema.String),
  Arch: maybe(Schema.String),
  Components: maybe(Schema.Array(Schema.Struct({ Name: Schema.String })))
})

export const version = (answer: typeof Version.Type, endpoint: string): Container.DockerVersion => ({
  kind: answer.Components?.some((component) => /podman/i.test(component.Name)) === true ? "podman" : "docker",
  version: answer.Version,
  apiVersion: answer.ApiVersion,
  os: answer.Os ?? "",
  architecture: answer.Arch ?? "",
  endpoint
})

/** Compares dotted numbers: `1.9` is before `1.41`. */
export const atLeast = (version: string, minimum: string): boolean => {
  const [a, b] = [version, minimum].map((text) => text.split(".").map((part) => Number.parseInt(part, 10) || 0))
  const length = Math.max(a?.length ?? 0, b?.length ?? 0)
  for (let index = 0; index < length; index++) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

export const Info = Schema.Struct({
  ID: maybe(Schema.String),
  Name: maybe(Schema.String),
  DockerRootDir: maybe(Schema.String),
  Driver: maybe(Schema.String),
  Runtimes: maybe(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  CDISpecDirs: maybe(Schema.Array(Schema.String)),
  DiscoveredDevices: maybe(Schema.Array(Schema.Struct({ Source: maybe(Schema.String), ID: Schema.String }))),
  ContainersRunning: maybe(Schema.Number),
  Images: maybe(Schema.Number)
})

export const info = (answer: typeof Info.Type): Container.DockerInfo => {
  const runtimes = Object.keys(answer.Runtimes ?? {})
  const cdiDevices = (answer.DiscoveredDevices ?? [])
    .filter((device) => device.Source === undefined || device.Source === "cdi")
    .map((device) => device.ID)
  const gpuReady = runtimes.some((runtime) => /^(nvidia|amd)/.test(runtime))
    || cdiDevices.some((device) => /^(nvidia|amd)\.com\/gpu=/.test(device))
  return {
    id: answer.ID ?? "",
    hostname: answer.Name ?? "",
    dataDirectory: answer.DockerRootDir ?? "",
    storageDriver: answer.Driver ?? "",
    runtimes,
    cdiDevices,
    cdi: cdiDevices.length > 0 || (answer.CDISpecDirs ?? []).length > 0,
    ...present("gpuReady", gpuReady ? true : undefined),
    containersRunning: answer.ContainersRunning ?? 0,
    images: answer.Images ?? 0
  }
}

export const Summary = Schema.Struct({
  Id: Schema.String,
  Names: maybe(Schema.Array(Schema.String)),
  Image: maybe(Schema.String),
  State: maybe(Schema.String),
  Labels: maybe(Texts),
  /** Seconds. */
  Created: maybe(Schema.Number),
  Ports: maybe(Schema.Array(Schema.Struct({
    IP: maybe(Schema.String),
    PrivatePort: Schema.Number,
    PublicPort: maybe(Schema.Number),
    Type: maybe(Schema.String)
  })))
})

export const Summaries = Schema.Array(Summary)

export const summary = (answer: typeof Summary.Type): Container.ContainerSummary => ({
  id: answer.Id,
  name: name(answer.Names?.[0]),
  image: answer.Image ?? "",
  state: state(answer.State ?? ""),
  labels: answer.Labels ?? {},
  createdAt: figure((answer.Created ?? 0) * 1000) ?? 0,
  ports: (answer.Ports ?? []).flatMap((port) =>
    !isPort(port.PublicPort) || !isPort(port.PrivatePort)
      ? []
      : [{
        container: port.PrivatePort,
        protocol: port.Type ?? "tcp",
        hostIp: port.IP ?? "",
        host: port.PublicPort
      }]
  )
})

export const Inspect = Schema.Struct({
  Id: Schema.String,
  Name: Schema.String,
  Created: maybe(Schema.String),
  /** The image's id. */
  Image: maybe(Schema.String),
  Config: Schema.Struct({
    Image: maybe(Schema.String),
    Labels: maybe(Texts),
    Tty: maybe(Schema.Boolean),
    StopTimeout: maybe(Schema.Number)
  }),
  State: Schema.Struct({
    Status: Schema.String,
    OOMKilled: maybe(Schema.Boolean),
    Pid: maybe(Schema.Number),
    ExitCode: maybe(Schema.Number),
    Error: maybe(Schema.String),
    StartedAt: maybe(Schema.String),
    FinishedAt: maybe(Schema.String),
    Health: maybe(Schema.Struct({ Status: maybe(Schema.String) }))
  }),
  NetworkSettings: maybe(Schema.Struct({
    Ports: maybe(Schema.Record({
      key: Schema.String,
      value: Schema.NullOr(
        Schema.Array(Schema.Struct({ HostIp: maybe(Schema.String), HostPort: maybe(Schema.String) }))
      )
    }))
  }))
})

export const inspect = (answer: typeof Inspect.Type): Container.ContainerInfo => {
  const now = state(answer.State.Status)
  const alive = now === "running" || now === "paused" || now === "restarting"
  const startedAt = time(answer.State.StartedAt)
  const ended = !alive && startedAt !== undefined
  return {
    id: answer.Id,
    name: name(answer.Name),
    image: answer.Config.Image ?? "",
    imageId: answer.Image ?? "",
    state: now,
    labels: answer.Config.Labels ?? {},
    createdAt: time(answer.Created) ?? 0,
    ports: Object.entries(answer.NetworkSettings?.Ports ?? {}).flatMap(([key, bindings]) => {
      const [port, protocol] = key.split("/")
      return (bindings ?? []).flatMap((binding) => {
        const [container, host] = [Number(port), Number(binding.HostPort)]
        return isPort(container) && isPort(host)
          ? [{ container, protocol: protocol ?? "tcp", hostIp: binding.HostIp ?? "", host }]
          : []
      })
    }),
    ...present("pid", alive && (answer.State.Pid ?? 0) > 0 ? answer.State.Pid : undefined),
    ...present("startedAt", startedAt),
    ...present("finishedAt", ended ? time(answer.State.FinishedAt) : undefined),
    ...present("exitCode", ended || (!alive && (answer.State.ExitCode ?? 0) !== 0) ? answer.State.ExitCode : undefined),
    oomKilled: answer.State.OOMKilled ?? false,
    ...present("error", answer.State.Error === "" ? undefined : answer.State.Error),
    ...present("health", answer.State.Health?.Status),
    ...present("stopTimeoutSeconds", figure(answer.Config.StopTimeout)),
    tty: answer.Config.Tty ?? false
  }
}

export const Created = Schema.Struct({ Id: Schema.String, Warnings: maybe(Schema.Array(Schema.String)) })

export const Wait = Schema.Struct({
  StatusCode: Schema.Number,
  Error: maybe(Schema.Struct({ Message: maybe(Schema.String) }))
})

export const Image = Schema.Struct({
  Id: Schema.String,
  RepoTags: maybe(Schema.Array(Schema.String)),
  RepoDigests: maybe(Schema.Array(Schema.String)),
  Size: maybe(Schema.Number),
  Architecture: maybe(Schema.String),
  Os: maybe(Schema.String)
})

export const image = (answer: typeof Image.Type): Container.ImageInfo => ({
  id: answer.Id,
  tags: answer.RepoTags ?? [],
  digests: answer.RepoDigests ?? [],
  sizeBytes: answer.Size ?? 0,
  architecture: answer.Architecture ?? "",
  os: answer.Os ?? ""
})

const CpuUsage = Schema.Struct({
  cpu_usage: maybe(Schema.Struct({
    total_usage: maybe(Schema.Number),
    percpu_usage: maybe(Schema.Array(Schema.Number))
  })),
  system_cpu_usage: maybe(Schema.Number),
  online_cpus: maybe(Schema.Number)
})

export const Stats = Schema.Struct({
  read: maybe(Schema.String),
  cpu_stats: maybe(CpuUsage),
  precpu_stats: maybe(CpuUsage),
  memory_stats: maybe(Schema.Struct({
    usage: maybe(Schema.Number),
    limit: maybe(Schema.Number),
    stats: maybe(Schema.Record({ key: Schema.String, value: Schema.Number }))
  })),
  pids_stats: maybe(Schema.Struct({ current: maybe(Schema.Number) })),
  networks: maybe(Schema.Record({
    key: Schema.String,
    value: Schema.Struct({ rx_bytes: maybe(Schema.Number), tx_bytes: maybe(Schema.Number) })
  })),
  blkio_stats: maybe(Schema.Struct({
    io_service_bytes_recursive: maybe(Schema.Array(Schema.Struct({ op: Schema.String, value: Schema.Number })))
  }))
})

/** Of the host's cores, from two samples. */
const cpuPercent = (answer: typeof Stats.Type): number | undefined => {
  const now = answer.cpu_stats
  const before = answer.precpu_stats
  const system = (now?.system_cpu_usage ?? Number.NaN) - (before?.system_cpu_usage ?? Number.NaN)
  const used = (now?.cpu_usage?.total_usage ?? Number.NaN) - (before?.cpu_usage?.total_usage ?? Number.NaN)
  const cores = now?.online_cpus ?? now?.cpu_usage?.percpu_usage?.length ?? 1
  const percent = (used / system) * cores * 100
  return Number.isFinite(percent) && percent >= 0 && system > 0 ? percent : undefined
}

/** What counts as in use: without the file pages that the kernel gives up first, as the docker command shows it. */
const memoryUsed = (answer: typeof Stats.Type): number | undefined => {
  const usage = figure(answer.memory_stats?.usage)
  if (usage === undefined) return undefined
  const stats = answer.memory_stats?.stats
  const droppable = stats?.["total_inactive_file"] ?? stats?.["inactive_file"] ?? 0
  return droppable < usage ? usage - droppable : usage
}

export const stats = (answer: typeof Stats.Type, now: number): Container.ContainerStats => {
  const networks = answer.networks === undefined ? undefined : Object.values(answer.networks)
  const blocks = answer.blkio_stats?.io_service_bytes_recursive
  const moved = (operation: string) =>
    blocks?.reduce((sum, entry) => (entry.op.toLowerCase() === operation ? sum + entry.value : sum), 0)
  return {
    time: time(answer.read) ?? now,
    ...present("cpuPercent", cpuPercent(answer)),
    ...present("memoryUsedBytes", memoryUsed(answer)),
    ...present("memoryLimitBytes", figure(answer.memory_stats?.limit)),
    ...present("pids", figure(answer.pids_stats?.current)),
    ...present("networkReceivedBytes", figure(networks?.reduce((sum, network) => sum + (network.rx_bytes ?? 0), 0))),
    ...present("networkSentBytes", figure(networks?.reduce((sum, network) => sum + (network.tx_bytes ?? 0), 0))),
    ...present("blockReadBytes", figure(moved("read"))),
    ...present("blockWrittenBytes", figure(moved("write")))
  }
}

export const ExecCreated = Schema.Struct({ Id: Schema.String })

export const ExecInspect = Schema.Struct({ Running: maybe(Schema.Boolean), ExitCode: maybe(Schema.Number) })

/** One event. Its exact time stands outside: see `ContainerEvents`. */
export const Event = Schema.Struct({
  Type: maybe(Schema.String),
  Action: maybe(Schema.String),
  time: maybe(Schema.Number),
  Actor: maybe(Schema.Struct({ ID: maybe(Schema.String), Attributes: maybe(Texts) }))
})

/** One line of a pull's progress. */
export const PullLine = Schema.Struct({
  id: maybe(Schema.String),
  status: maybe(Schema.String),
  error: maybe(Schema.String),
  errorDetail: maybe(Schema.Struct({ message: maybe(Schema.String) })),
  progressDetail: maybe(Schema.Struct({
    current: maybe(Schema.Number),
    total: maybe(Schema.Number),
    /** Not bytes when set: `s` for seconds. */
    units: maybe(Schema.String)
  }))
})
