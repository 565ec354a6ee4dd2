/** From a spec to what Docker's API is asked for. */
import * as Redacted from "effect/Redacted"
import * as ContainerSpec from "./ContainerSpec.js"

/** What the request depends on, apart from the spec. */
export interface CreateOptions {
  readonly kind: "docker" | "podman"
  /** How GPUs are handed over, where the spec asks for some. */
  readonly gpuMethod: "hook" | "cdi"
  /** Different at each creation. */
  readonly runId: string
}

const mount = (mount: ContainerSpec.Mount): Record<string, unknown> => {
  switch (mount._tag) {
    case "Volume":
      return { Type: "volume", Source: mount.name, Target: mount.target, ReadOnly: mount.readOnly }
    case "Bind":
      return { Type: "bind", Source: mount.source, Target: mount.target, ReadOnly: mount.readOnly }
    case "Tmpfs":
      return {
        Type: "tmpfs",
        Target: mount.target,
        ...(mount.sizeBytes === undefined ? {} : { TmpfsOptions: { SizeBytes: mount.sizeBytes } })
      }
  }
}

const deviceRequests = (gpus: ContainerSpec.GpuRequest, method: "hook" | "cdi"): ReadonlyArray<unknown> => {
  if (method === "cdi") {
    const names = gpus.devices === "all" ? ["all"] : gpus.devices
    return [{ Driver: "cdi", DeviceIDs: names.map((device) => `${gpus.vendor}.com/gpu=${device}`) }]
  }
  // Either a count or ids, never both; and a count of n always means the first n.
  return [{
    Driver: gpus.vendor,
    ...(gpus.devices === "all" ? { Count: -1 } : { DeviceIDs: gpus.devices }),
    Capabilities: [["gpu"]]
  }]
}

const whenAny = <A>(key: string, values: ReadonlyArray<A>): Record<string, ReadonlyArray<A>> =>
  values.length === 0 ? {} : { [key]: values }

const whenSome = (key: string, value: unknown): Record<string, unknown> => value === undefined ? {} : { [key]: value }

/** The body of the request that creates the container. Has the secrets in plain: not for logs. */
export const body = (spec: ContainerSpec.ContainerSpec, options: CreateOptions): Record<string, unknown> => {
  const env = [
    ...Object.entries(spec.env),
    ...Object.entries(spec.secrets).map(([name, value]) => [name, Redacted.value(value)] as const)
  ].map(([name, value]) => `${name}=${value}`)
  const keys = spec.ports.map((port) => `${port.container}/${port.protocol}`)
  const bindings: Record<string, Array<{ HostIp: string; HostPort: string }>> = {}
  for (const port of spec.ports) {
    const key = `${port.container}/${port.protocol}`
    bindings[key] = [
      ...(bindings[key] ?? []),
      { HostIp: port.hostIp, HostPort: port.host === undefined ? "" : String(port.host) }
    ]
  }
  const securityOptions = [...(spec.noNewPrivileges ? ["no-new-privileges"] : []), ...spec.securityOptions]
  return {
    Image: spec.image,
    ...whenSome("Entrypoint", spec.entrypoint),
    ...whenSome("Cmd", spec.command),
    ...whenSome("User", spec.user),
    ...whenSome("WorkingDir", spec.workingDirectory),
    ...whenSome("StopSignal", spec.stopSignal),
    ...whenAny("Env", env),
    Labels: { ...ContainerSpec.labels(spec), [ContainerSpec.Label.runId]: options.runId },
    StopTimeout: spec.stopTimeoutSeconds,
    ExposedPorts: Object.fromEntries(keys.map((key) => [key, {}])),
    HostConfig: {
      // Whether and when it runs again is the agent's decision.
      RestartPolicy: { Name: "no" },
      LogConfig: {
        Type: "json-file",
        Config: {
          "max-size": String(spec.logs.maxBytes),
          // Podman keeps one file, and knows no such option.
          ...(options.kind === "docker" ? { "max-file": String(spec.logs.files) } : {})
        }
      },
      Init: spec.init,
      IpcMode: spec.ipc,
      Privileged: spec.privileged,
      PortBindings: bindings,
      ...whenSome("NetworkMode", spec.network),
      ...whenSome("Memory", spec.memoryBytes),
      // Without it Docker grants the same amount of swap: a model in swap is useless.
      ...whenSome("MemorySwap", spec.memoryBytes),
      ...whenSome("NanoCpus", spec.cpus === undefined ? undefined : Math.round(spec.cpus * 1e9)),
      ...whenSome("PidsLimit", spec.pidsLimit),
      ...whenSome("ShmSize", spec.ipc === "host" ? undefined : spec.shmBytes),
      ...whenAny("Mounts", spec.mounts.map(mount)),
      ...whenAny(
        "Devices",
        spec.devices.map((device) => ({
          PathOnHost: device.host,
          PathInContainer: device.container ?? device.host,
          CgroupPermissions: device.permissions
        }))
      ),
      ...whenAny("GroupAdd", spec.groups.map(String)),
      ...whenAny("CapAdd", spec.capAdd),
      ...whenAny("CapDrop", spec.capDrop),
      ...whenAny("SecurityOpt", securityOptions),
      ...whenAny("Ulimits", spec.ulimits.map(({ hard, name, soft }) => ({ Name: name, Soft: soft, Hard: hard }))),
      ...whenAny("DeviceRequests", spec.gpus === undefined ? [] : deviceRequests(spec.gpus, options.gpuMethod))
    }
  }
}
