/** Which of a machine's GPUs an engine gets. */
import * as Either from "effect/Either"
import type { GpuInfo, GpuVendor } from "../node/NodeCapabilities.js"

/** A vendor whose GPUs containers can use. */
export type ContainerGpuVendor = Exclude<GpuVendor, "apple">

export interface GpuSelection {
  readonly vendor: ContainerGpuVendor
  /** As the container runtime is asked for them. */
  readonly devices: "all" | ReadonlyArray<string>
  /** The machine's GPUs that this selects; several MIG instances may share one. */
  readonly gpus: ReadonlyArray<GpuInfo>
  /** The number of devices that the engine will see. */
  readonly count: number
}

/** Why a selection of GPUs is not possible. */
export interface Impossible {
  readonly problem: string
  /** What would be valid, to follow "give". */
  readonly expected: string
}

/** In order of preference, for `all` on a machine with GPUs of several vendors. */
const vendors: ReadonlyArray<ContainerGpuVendor> = ["nvidia", "amd", "intel"]

const ofVendor = (gpus: ReadonlyArray<GpuInfo>, vendor: ContainerGpuVendor) =>
  gpus.filter((gpu) => gpu.vendor === vendor)

const shown = (gpus: ReadonlyArray<GpuInfo>): string =>
  gpus.map((gpu, position) => `${gpu.index ?? position} (${gpu.model})`).join(", ")

/** The GPUs in the texts that a setting may have: `0`, `GPU-…`, `MIG-…`. */
const find = (gpus: ReadonlyArray<GpuInfo>, id: string): GpuInfo | undefined =>
  /^\d+$/.test(id)
    ? gpus.find((gpu, position) => (gpu.index ?? position) === Number(id))
    : gpus.find(({ migInstances, uuid }) => uuid === id || migInstances.some((instance) => instance.uuid === id))

/** An index without leading zeros, which container runtimes do not accept. */
const plain = (id: string): string => /^\d+$/.test(id) ? String(Number(id)) : id

/** What a choice names a second time, as it is written there. */
export const namedTwice = (text: string): string | undefined => {
  const ids = text.split(",")
  return ids.find((id, position) => ids.findIndex((other) => plain(other) === plain(id)) !== position)
}

/**
 * Resolves `all`, `none`, indexes or uuids against the machine's GPUs. `undefined` means none: selected, or `all` on a
 * machine without GPUs that containers can use.
 */
export const select = (
  text: string,
  gpus: ReadonlyArray<GpuInfo>
): Either.Either<GpuSelection | undefined, Impossible> => {
  if (text === "none") return Either.right(undefined)
  if (text === "all") {
    const vendor = vendors.find((vendor) => ofVendor(gpus, vendor).some(({ healthy }) => healthy))
      ?? vendors.find((vendor) => ofVendor(gpus, vendor).length > 0)
    if (vendor === undefined) return Either.right(undefined)
    const present = ofVendor(gpus, vendor)
    const healthy = present.filter((gpu) => gpu.healthy)
    if (healthy.length === 0) {
      return Either.left({
        problem: `none of this machine's GPUs works: ${present[0]?.healthProblem ?? "no reason is known"}`,
        expected: "none to run without a GPU, or repair the GPU first"
      })
    }
    // A broken GPU would keep the whole container from starting.
    const devices = healthy.length === present.length
      ? "all"
      : healthy.map((gpu, position) => gpu.uuid ?? String(gpu.index ?? position))
    return Either.right({ vendor, devices, gpus: healthy, count: healthy.length })
  }
  const twice = namedTwice(text)
  if (twice !== undefined) return Either.left({ problem: `${twice} is named twice`, expected: "each GPU once" })
  const ids = text.split(",").map(plain)
  const usable = gpus.filter(({ vendor }) => vendor !== "apple")
  if (usable.length === 0) {
    return Either.left({
      problem: gpus.length === 0
        ? "this machine has no GPU, as far as the agent can see"
        : "containers on macOS cannot use the GPU",
      expected: "none to run without a GPU"
    })
  }
  const vendor = vendors.find((vendor) => ids.every((id) => find(ofVendor(usable, vendor), id) !== undefined))
  if (vendor === undefined) {
    const missing = ids.find((id) => vendors.every((vendor) => find(ofVendor(usable, vendor), id) === undefined))
    return Either.left({
      problem: missing === undefined
        ? "they are of several vendors, and one engine can use one vendor's only"
        : `there is no GPU ${missing} here; there ${usable.length === 1 ? "is" : "are"} ${shown(usable)}`,
      expected: missing === undefined ? "GPUs of one vendor" : "all, none, or some of those"
    })
  }
  const chosen = ids.flatMap((id) => find(ofVendor(usable, vendor), id) ?? [])
  const broken = chosen.find((gpu) => !gpu.healthy)
  if (broken !== undefined) {
    return Either.left({
      problem: `GPU ${broken.index ?? broken.uuid ?? ""} does not work: ${
        broken.healthProblem ?? "no reason is known"
      }`,
      expected: "one that works, or repair it first"
    })
  }
  return Either.right({ vendor, devices: ids, gpus: [...new Set(chosen)], count: ids.length })
}
