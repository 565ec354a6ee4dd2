/** The resource limits of this process: its control groups, versions 1 and 2, and its CPU affinity. */
import * as Effect from "effect/Effect"
import type { KernelFiles } from "./Files.js"
import { known } from "../node/Fields.js"
import { rangeList, wholeNumber } from "./Numbers.js"

/** Our limits; absent where there is none. */
export interface Limits {
  readonly cores?: number
  readonly memoryBytes?: number
  /** What the group that sets the memory limit uses, without the file cache that it can drop. */
  readonly memoryUsedBytes?: number
}

/** Which group we are in, per hierarchy, from the text of `/proc/self/cgroup`. */
export interface Membership {
  /** The path in the hierarchy of version 2. */
  readonly unified?: string
  /** The path per controller of version 1. */
  readonly legacy: ReadonlyMap<string, string>
}

export const parseMembership = (text: string): Membership => {
  const legacy = new Map<string, string>()
  let unified: string | undefined
  for (const line of text.split("\n")) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line)
    const [, id, controllers, path] = match ?? []
    if (id === undefined || controllers === undefined || path === undefined) continue
    if (id === "0" && controllers === "") unified = path
    else for (const controller of controllers.split(",")) legacy.set(controller, path)
  }
  return unified === undefined ? { legacy } : { unified, legacy }
}

/** Where a hierarchy can be seen. */
export interface CgroupMount {
  /** The group that is seen at `point`: `/` unless the mount shows only a part. */
  readonly root: string
  readonly point: string
  /** Version 1 only: its controllers. */
  readonly controllers: ReadonlyArray<string>
  readonly version: 1 | 2
}

/** The mounts of cgroup hierarchies from the text of `/proc/self/mountinfo`. */
export const parseMounts = (text: string): ReadonlyArray<CgroupMount> => {
  const mounts: Array<CgroupMount> = []
  // Spaces and the like are written as \040.
  const unescape = (path: string) =>
    path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
  for (const line of text.split("\n")) {
    const [before, after] = line.split(" - ", 2)
    const type = after?.split(" ", 1)[0]
    if (before === undefined || after === undefined || (type !== "cgroup" && type !== "cgroup2")) continue
    const [, , , root, point] = before.split(" ")
    if (root === undefined || point === undefined) continue
    mounts.push({
      root: unescape(root),
      point: unescape(point),
      controllers: type === "cgroup" ? (after.split(" ").at(-1) ?? "").split(",") : [],
      version: type === "cgroup" ? 1 : 2
    })
  }
  return mounts
}

/** The folder of our group and those of its ancestors that can be seen, ours first. */
export const lineage = (mount: CgroupMount, group: string): ReadonlyArray<string> => {
  const root = mount.root === "/" ? "" : mount.root
  const inside = group === root || group.startsWith(`${root}/`) ? group.slice(root.length) : undefined
  // A group that the mount does not show (or a namespace that starts elsewhere): what is mounted is all we can see.
  const parts = inside === undefined || inside.split("/").includes("..")
    ? []
    : inside.split("/").filter((part) => part !== "")
  const folders: Array<string> = []
  for (let depth = parts.length; depth >= 0; depth--) folders.push([mount.point, ...parts.slice(0, depth)].join("/"))
  return folders
}

/** Version 1 writes about 2^63 where there is no limit, rounded to pages. */
const noLimit = 2 ** 60

/** A limit of memory in bytes, as either version writes it; `undefined` when there is none. */
export const parseMemoryLimit = (text: string | undefined): number | undefined => {
  const value = text === undefined || !/^\d{1,20}$/.test(text) ? undefined : Number(text)
  // No program runs in zero bytes: such a limit was not set for us.
  return value === undefined || value === 0 || value >= noLimit ? undefined : value
}

const cores = (quota: number | undefined, period: number | undefined): number | undefined =>
  quota === undefined || period === undefined || quota === 0 || period === 0 ? undefined : quota / period

/** Cores from `cpu.max` of version 2: `200000 100000`, or `max 100000`. */
export const parseCpuMax = (text: string | undefined): number | undefined => {
  const [quota, period] = (text ?? "").trim().split(/\s+/)
  return cores(wholeNumber(quota), period === undefined ? 100_000 : wholeNumber(period))
}

/** The file cache that a group can drop, from its `memory.stat`. */
const droppable = (stat: string | undefined, key: string): number =>
  wholeNumber(new RegExp(`^${key} (\\d+)$`, "m").exec(stat ?? "")?.[1]) ?? 0

interface MemoryFiles {
  readonly limit: string
  readonly used: string
  readonly cache: string
}

const memoryFiles: Readonly<Record<1 | 2, MemoryFiles>> = {
  1: { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file" },
  2: { limit: "memory.max", used: "memory.current", cache: "inactive_file" }
}

/** Reads our limits; where the hierarchies are is looked up only when our membership has changed. */
export interface CgroupReader {
  /** `total` is the machine's: what allows as much is no limit. */
  readonly read: (files: KernelFiles, total: { readonly memoryBytes: number; readonly cores: number }) => Limits
}

export const makeReader: Effect.Effect<CgroupReader> = Effect.sync(() => {
  let membershipText: string | undefined
  let memory: ReadonlyArray<{ readonly version: 1 | 2; readonly folders: ReadonlyArray<string> }> = []
  let cpu: typeof memory = []
  let cpuset: typeof memory = []

  const resolve = (files: KernelFiles, text: string) => {
    const membership = parseMembership(text)
    const mounts = parseMounts(files.text("/proc/self/mountinfo") ?? "")
    const of = (controller: string): typeof memory => {
      const found: Array<(typeof memory)[number]> = []
      // A machine may have both: version 1 for some controllers, version 2 for the others.
      for (const version of [2, 1] as const) {
        const group = version === 2 ? membership.unified : membership.legacy.get(controller)
        const mount = mounts.find((mount) =>
          mount.version === version && (version === 2 || mount.controllers.includes(controller))
        )
        if (group !== undefined && mount !== undefined) found.push({ version, folders: lineage(mount, group) })
      }
      return found
    }
    memory = of("memory")
    cpu = of("cpu")
    cpuset = of("cpuset")
    membershipText = text
  }

  const memoryLimit = (files: KernelFiles, total: number) => {
    let lowest: { readonly bytes: number; readonly folder: string; readonly version: 1 | 2 } | undefined
    for (const { folders, version } of memory) {
      for (const folder of folders) {
        const bytes = parseMemoryLimit(files.line(`${folder}/${memoryFiles[version].limit}`))
        if (bytes !== undefined && bytes < (lowest?.bytes ?? total)) lowest = { bytes, folder, version }
      }
    }
    if (lowest === undefined) return {}
    const names = memoryFiles[lowest.version]
    const used = wholeNumber(files.line(`${lowest.folder}/${names.used}`))
    return known({
      memoryBytes: lowest.bytes,
      memoryUsedBytes: used === undefined
        ? undefined
        : Math.max(0, used - droppable(files.text(`${lowest.folder}/memory.stat`), names.cache))
    })
  }

  const coreLimit = (files: KernelFiles, total: number): number | undefined => {
    const limits: Array<number | undefined> = []
    for (const { folders, version } of cpu) {
      for (const folder of folders) {
        limits.push(
          version === 2
            ? parseCpuMax(files.line(`${folder}/cpu.max`))
            : cores(
              wholeNumber(files.line(`${folder}/cpu.cfs_quota_us`)),
              wholeNumber(files.line(`${folder}/cpu.cfs_period_us`))
            )
        )
      }
    }
    for (const { folders, version } of cpuset) {
      const name = version === 2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus"
      limits.push(rangeList(files.line(`${folders[0]}/${name}`)).length || undefined)
      if (version === 1) limits.push(rangeList(files.line(`${folders[0]}/cpuset.cpus`)).length || undefined)
    }
    const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(files.text("/proc/self/status") ?? "")?.[1]
    limits.push(rangeList(allowed).length || undefined)
    const lowest = Math.min(...limits.filter((limit) => limit !== undefined))
    return lowest < total ? Math.round(lowest * 1000) / 1000 : undefined
  }

  return {
    read: (files, total) => {
      const text = files.text("/proc/self/cgroup") ?? ""
      if (text !== membershipText) resolve(files, text)
      return { ...memoryLimit(files, total.memoryBytes), ...known({ cores: coreLimit(files, total.cores) }) }
    }
  }
})
