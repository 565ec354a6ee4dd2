/** What it means when Docker refuses to create or to start a container. */
import * as Redacted from "effect/Redacted"
import * as DockerError from "./api/DockerError.js"
import type * as ContainerSpec from "./ContainerSpec.js"
import * as DockerMessages from "./DockerMessages.js"

type Spec = ContainerSpec.ContainerSpec

/** Shorter ones would take words out of the text that are no secrets. */
const minSecretLength = 4

/** Without the container's secrets: Docker quotes the part of a request that it does not like. */
const withoutSecrets = (spec: Spec, text: string): string =>
  Object.values(spec.secrets).map((secret) => Redacted.value(secret))
    .filter((secret) => secret.length >= minSecretLength)
    // The longest first, since one may be a part of another.
    .sort((a, b) => b.length - a.length)
    .flatMap((secret) => [
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret.toWellFormed()),
      Buffer.from(secret).toString("base64")
    ])
    .reduce((redacted, form) => redacted.replaceAll(form, "[redacted]"), text)

const gpuRemedy = (vendor: ContainerSpec.GpuRequest["vendor"], condition: DockerMessages.GpuCondition): string => {
  switch (condition) {
    case "NoSuchGpu":
      return vendor === "nvidia"
        ? "\"nvidia-smi -L\" shows which GPUs there are; ask for one of those."
        : "Check which GPUs there are (\"amd-smi list\"), and that their CDI specification is up to date."
    case "BrokenDriver":
      return "The GPU's driver does not work on this machine: see what \"nvidia-smi\" says, then restart or reinstall it."
    default:
      return vendor === "nvidia"
        ? "Install the NVIDIA Container Toolkit (package nvidia-container-toolkit), run \"sudo nvidia-ctk runtime "
          + "configure --runtime=docker\", and restart Docker; or ask for no GPU."
        : "Set up the AMD Container Toolkit's CDI specification (\"sudo amd-ctk cdi generate\"), or ask for no GPU."
  }
}

/** GPUs that cannot be given to the container. */
export const gpuUnavailable = (
  spec: Spec,
  gpus: ContainerSpec.GpuRequest,
  detail: string,
  remedy: string
): DockerError.GpuUnavailable =>
  new DockerError.GpuUnavailable({
    container: spec.name,
    vendor: gpus.vendor === "nvidia" ? "NVIDIA" : "AMD",
    devices: gpus.devices === "all" ? "all" : gpus.devices.join(","),
    detail,
    remedy
  })

/** Nothing took the request for GPUs: the toolkit is not installed, or not known to Docker. */
export const isNoDriver = (error: DockerError.RunError): boolean =>
  error._tag === "GpuUnavailable" && DockerMessages.ofGpu(error.detail) === "NoDriver"

/** Docker's refusal to create the container. */
export const ofCreate = (spec: Spec, error: DockerError.DockerError): DockerError.RunError => {
  if (error._tag !== "DockerRequestFailed") return error
  const detail = withoutSecrets(spec, error.detail)
  const condition = DockerMessages.ofCreate(detail)
    ?? (error.status === 409 && /name/i.test(detail) ? { _tag: "NameTaken" as const, holder: undefined } : undefined)
  switch (condition?._tag) {
    case "OutOfDisk":
      return new DockerError.OutOfDisk({ subject: `container ${spec.name}`, detail })
    case "NameTaken":
      return new DockerError.NameTaken({ name: spec.name, holder: condition.holder })
    case "NoSuchImage":
      return new DockerError.ImageNotFound({
        image: spec.image,
        detail: `${detail} (it is not on this machine; pull it first)`,
        mayNeedLogin: false
      })
    case "NoSuchPath":
      return new DockerError.VolumeUnavailable({ container: spec.name, path: condition.path, detail })
    default: {
      const failure = ofStart(spec, error, undefined)
      return failure._tag === "ContainerStartFailed"
        ? new DockerError.DockerRequestFailed({ ...error, detail })
        : failure
    }
  }
}

/** Docker's refusal to start the container; `exitCode` is the container's, where it has one. */
export const ofStart = (
  spec: Spec,
  error: DockerError.DockerError,
  exitCode: number | undefined
): DockerError.RunError => {
  if (error._tag !== "DockerRequestFailed") return error
  const detail = withoutSecrets(spec, error.detail)
  const container = spec.name
  const condition = DockerMessages.ofStart(detail)
  if (condition?._tag === "OutOfDisk") {
    return new DockerError.OutOfDisk({ subject: `container ${container}`, detail })
  }
  const gpu = spec.gpus === undefined ? undefined : DockerMessages.ofGpu(detail)
  if (spec.gpus !== undefined && gpu !== undefined) {
    return gpuUnavailable(spec, spec.gpus, detail, gpuRemedy(spec.gpus.vendor, gpu))
  }
  if (condition?._tag === "NoSuchDevice") {
    return new DockerError.DeviceUnavailable({ container, device: condition.device, detail })
  }
  if (condition?._tag === "PortTaken") {
    const published = spec.ports.filter((port) => port.host !== undefined)
    const named = published.find((port) => new RegExp(`:${port.host}\\b`).test(detail)) ?? published[0]
    if (named?.host !== undefined) {
      return new DockerError.PortTaken({ container, port: named.host, protocol: named.protocol })
    }
  }
  // A request that is wrong in itself, or that failed before anything could start.
  if (error.status === 400 && exitCode === undefined) return new DockerError.DockerRequestFailed({ ...error, detail })
  return new DockerError.ContainerStartFailed({ container, image: spec.image, exitCode, detail })
}
