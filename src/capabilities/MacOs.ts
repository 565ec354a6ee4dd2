/** What macOS says through its own tools; each runs off the start path. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { CpuFacts } from "./Cpu.js"
import { known } from "../node/Fields.js"
import { decimal, positiveInteger, within } from "./Numbers.js"
import * as Printable from "../text/Printable.js"
import type { MemoryFacts } from "./Memory.js"
import type { OsFacts } from "./OperatingSystem.js"
import type { Reading } from "./Probe.js"
import type { Tools } from "../process/Tool.js"

/** What does not change while a Mac is up. */
export interface MacFacts {
  readonly cpu: CpuFacts
  readonly os: OsFacts
}

const keys = [
  "machdep.cpu.brand_string",
  "machdep.cpu.vendor",
  "machdep.cpu.features",
  "machdep.cpu.leaf7_features",
  "hw.packages",
  "hw.physicalcpu_max",
  "hw.logicalcpu_max",
  "hw.cpufrequency",
  "hw.cpufrequency_max",
  "hw.optional.arm64",
  "hw.optional.arm.FEAT_DotProd",
  "hw.optional.arm.FEAT_I8MM",
  "hw.optional.arm.FEAT_BF16",
  "hw.model",
  "kern.hv_vmm_present",
  "kern.bootsessionuuid"
]

/** Reads `sysctl key key ...`: one `key: value` per line. */
export const parseSysctl = (text: string): MacFacts => {
  const values = new Map<string, string>()
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z0-9_.]{1,64}): (.*)$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) values.set(match[1], match[2].trim())
  }
  const megahertz = (key: string) => {
    const hertz = positiveInteger(values.get(key))
    return hertz === undefined ? undefined : within(Math.round(hertz / 1_000_000), 1, 20_000)
  }
  const flags = `${values.get("machdep.cpu.features") ?? ""} ${values.get("machdep.cpu.leaf7_features") ?? ""}`
    .toLowerCase().split(/\s+/)
  const has = (key: string) => values.get(key) === "1"
  const arm = has("hw.optional.arm64")
  const features = [
    ...(arm ? ["neon"] : []),
    ...(has("hw.optional.arm.FEAT_DotProd") ? ["dotprod"] : []),
    ...(has("hw.optional.arm.FEAT_I8MM") ? ["i8mm"] : []),
    ...(has("hw.optional.arm.FEAT_BF16") ? ["bf16"] : []),
    ...(flags.includes("avx1.0") ? ["avx"] : []),
    ...["avx2", "fma", "f16c", "avx512f"].filter((flag) => flags.includes(flag))
  ]
  return {
    cpu: known({
      model: Printable.label(values.get("machdep.cpu.brand_string")),
      vendor: Printable.label(values.get("machdep.cpu.vendor")) ?? (arm ? "Apple" : undefined),
      sockets: positiveInteger(values.get("hw.packages")),
      physicalCores: positiveInteger(values.get("hw.physicalcpu_max")),
      logicalCores: positiveInteger(values.get("hw.logicalcpu_max")),
      baseMhz: megahertz("hw.cpufrequency"),
      maxMhz: megahertz("hw.cpufrequency_max"),
      features
    }),
    os: known({
      virtualization: values.has("kern.hv_vmm_present") ? (has("kern.hv_vmm_present") ? "vm" : "none") : undefined,
      bootId: Printable.label(values.get("kern.bootsessionuuid")),
      board: Printable.label(values.get("hw.model"))
    })
  }
}

/** Reads `sw_vers`: `macOS 15.1`. */
export const parseSwVers = (text: string): string | undefined => {
  const value = (key: string) => new RegExp(`^${key}:\\s*(.+)$`, "m").exec(text)?.[1]
  return Printable.label([value("ProductName"), value("ProductVersion")].filter((part) => part !== undefined).join(" "))
}

/** Reads `vm_stat`, and `sysctl vm.swapusage`: what programs could get without swapping. */
export const parseVmStat = (vmStat: string, swapUsage: string, totalBytes: number): MemoryFacts => {
  const page = positiveInteger(/page size of (\d{1,9}) bytes/.exec(vmStat)?.[1])
  const count = (name: string) => {
    const pages = /^\d{1,15}$/.exec(
      new RegExp(`^"?${name}"?:[ \\t]{1,64}(\\d{1,15})\\.?[ \\t\\r]{0,64}$`, "m").exec(vmStat)?.[1] ?? ""
    )?.[0]
    return pages === undefined || page === undefined ? undefined : Number(pages) * page
  }
  const wired = count("Pages wired down")
  const anonymous = count("Anonymous pages")
  const compressed = count("Pages occupied by compressor")
  const used = wired === undefined || anonymous === undefined || compressed === undefined
    ? undefined
    : wired + compressed + Math.max(0, anonymous - (count("Pages purgeable") ?? 0))
  const swap = (name: string) => {
    const mebibytes = decimal(new RegExp(`${name} = ([\\d.,]+)M`).exec(swapUsage)?.[1])
    return mebibytes === undefined ? undefined : within(Math.round(mebibytes * 1024 * 1024), 0, 2 ** 50)
  }
  const swapTotal = swap("total")
  const swapFree = swap("free")
  return known({
    availableBytes: used === undefined ? undefined : within(totalBytes - used, 0, totalBytes),
    swapTotalBytes: swapTotal,
    swapFreeBytes: swapTotal === undefined || swapFree === undefined ? swapFree : Math.min(swapFree, swapTotal)
  })
}

/** What a tool printed, whatever its exit code: sysctl fails when it does not know one of many keys. */
const output = (
  tools: Tools,
  name: string,
  folder: string,
  args: ReadonlyArray<string>,
  deadline: Duration.DurationInput
) =>
  Effect.gen(function*() {
    const tool = yield* tools.find([name, `${folder}/${name}`])
    if (tool === undefined) return ""
    const outcome = yield* Effect.either(tools.run(tool, args, deadline))
    if (Either.isRight(outcome)) return outcome.right.stdout
    return outcome.left._tag === "ProgramFailed" ? outcome.left.stdout : ""
  })

/** What does not change; asked once. */
export const detectStatic = (
  tools: Tools,
  deadline: Duration.DurationInput
): Effect.Effect<Reading<MacFacts | undefined>> =>
  Effect.gen(function*() {
    const facts = parseSysctl(yield* output(tools, "sysctl", "/usr/sbin", keys, deadline))
    const distribution = parseSwVers(yield* output(tools, "sw_vers", "/usr/bin", [], deadline))
    const found: MacFacts | undefined = { ...facts, os: { ...facts.os, ...known({ distribution }) } }
    return {
      facts: found,
      findings: [],
      goodFor: facts.cpu.model === undefined ? "1 minute" as const : "1 day" as const
    }
  })

/** What changes. */
export const detectMemory = (
  tools: Tools,
  deadline: Duration.DurationInput,
  totalBytes: number
): Effect.Effect<Reading<MemoryFacts>> =>
  Effect.gen(function*() {
    const vmStat = yield* output(tools, "vm_stat", "/usr/bin", [], deadline)
    const swapUsage = yield* output(tools, "sysctl", "/usr/sbin", ["vm.swapusage"], deadline)
    return { facts: parseVmStat(vmStat, swapUsage, totalBytes), findings: [] }
  })
