/** The processors of the machine. */
import type { KernelFiles } from "./Files.js"
import { known } from "../node/Fields.js"
import { positiveInteger, rangeList, within } from "./Numbers.js"
import * as Printable from "../text/Printable.js"

/** What is known of the processors but for the limit of our cgroup; see `CpuInfo` for units. */
export interface CpuFacts {
  readonly model?: string
  readonly vendor?: string
  readonly sockets?: number
  readonly physicalCores?: number
  readonly logicalCores?: number
  readonly baseMhz?: number
  readonly maxMhz?: number
  readonly features: ReadonlyArray<string>
}

/** Go's names for Node's. */
const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  mipsel: "mipsle",
  ppc64: "ppc64le"
}

/** Go's name for what `process.arch` says. */
export const architectureOf = (nodeArch: string): string => architectures[nodeArch] ?? nodeArch

/** Our names for the kernel's flags (x86) and features (Arm) that inference engines ask for. */
const featureNames: Readonly<Record<string, string>> = {
  avx: "avx",
  avx2: "avx2",
  fma: "fma",
  f16c: "f16c",
  avx_vnni: "avx_vnni",
  avx512f: "avx512f",
  avx512_vnni: "avx512_vnni",
  avx512_bf16: "avx512_bf16",
  amx_tile: "amx",
  neon: "neon",
  asimd: "neon",
  asimddp: "dotprod",
  i8mm: "i8mm",
  bf16: "bf16",
  sve: "sve",
  sve2: "sve2"
}

/** Who designed an Arm core, by the "CPU implementer" of `/proc/cpuinfo`. */
const armImplementers: Readonly<Record<string, string>> = {
  "0x41": "ARM",
  "0x42": "Broadcom",
  "0x46": "Fujitsu",
  "0x48": "HiSilicon",
  "0x4e": "NVIDIA",
  "0x51": "Qualcomm",
  "0x61": "Apple",
  "0x6d": "Microsoft",
  "0xc0": "Ampere"
}

/** Arm cores that run inference, by implementer and "CPU part". */
const armParts: Readonly<Record<string, string>> = {
  "0x41 0xc07": "Cortex-A7",
  "0x41 0xd03": "Cortex-A53",
  "0x41 0xd05": "Cortex-A55",
  "0x41 0xd07": "Cortex-A57",
  "0x41 0xd08": "Cortex-A72",
  "0x41 0xd0a": "Cortex-A75",
  "0x41 0xd0b": "Cortex-A76",
  "0x41 0xd0c": "Neoverse-N1",
  "0x41 0xd0d": "Cortex-A77",
  "0x41 0xd40": "Neoverse-V1",
  "0x41 0xd41": "Cortex-A78",
  "0x41 0xd42": "Cortex-A78AE",
  "0x41 0xd44": "Cortex-X1",
  "0x41 0xd49": "Neoverse-N2",
  "0x41 0xd4f": "Neoverse-V2",
  "0x41 0xd83": "Neoverse-V3AE",
  "0x41 0xd84": "Neoverse-V3",
  "0x41 0xd85": "Cortex-X925",
  "0x41 0xd87": "Cortex-A725",
  "0x41 0xd8e": "Neoverse-N3",
  "0x46 0x001": "A64FX",
  "0x48 0xd01": "Kunpeng-920",
  "0x4e 0x003": "Denver 2",
  "0x4e 0x004": "Carmel",
  "0xc0 0xac3": "Ampere-1",
  "0xc0 0xac4": "Ampere-1a"
}

/** What `/proc/cpuinfo` says. */
export interface CpuListing extends CpuFacts {
  /** `Raspberry Pi 4 Model B Rev 1.4`: Arm boards say it here too. */
  readonly board?: string
  /** x86 only: whether a hypervisor is below. */
  readonly hypervisor?: boolean
}

/** Reads the text of `/proc/cpuinfo`, of x86, Arm, POWER or RISC-V. */
export const parseCpuinfo = (text: string): CpuListing => {
  let logicalCores = 0
  const sockets = new Set<string>()
  const cores = new Set<string>()
  const parts = new Set<string>()
  const first = new Map<string, string>()
  let socket = ""
  let implementer = ""
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":")
    if (colon < 0) continue
    const key = line.slice(0, colon).trim()
    const value = line.slice(colon + 1).trim()
    switch (key) {
      case "processor": {
        // 32-bit Arm also has "Processor: ARMv7 ..." lines, which the capital distinguishes.
        if (/^\d+$/.test(value)) logicalCores++
        break
      }
      case "physical id": {
        socket = value
        sockets.add(value)
        break
      }
      case "core id": {
        cores.add(`${socket}:${value}`)
        break
      }
      case "CPU implementer": {
        implementer = value
        break
      }
      case "CPU part": {
        parts.add(`${implementer} ${value}`)
        break
      }
    }
    if (!first.has(key)) first.set(key, value)
  }
  const flags = (first.get("flags") ?? first.get("Features") ?? "").split(/\s+/)
  const armNames = [...parts].map((part) => armParts[part]).filter((name) => name !== undefined)
  const model = Printable.label(first.get("model name"))
    ?? (armNames.length > 0 ? armNames.join(" + ") : Printable.label(first.get("cpu") ?? first.get("uarch")))
  const ghz = /@\s*(\d{1,2}(?:\.\d{1,4})?)\s*GHz/i.exec(model ?? "")?.[1]
  return known({
    model,
    vendor: Printable.label(first.get("vendor_id") ?? first.get("vendor"))
      ?? armImplementers[first.get("CPU implementer") ?? ""],
    sockets: sockets.size > 0 ? sockets.size : undefined,
    physicalCores: cores.size > 0 && cores.size <= logicalCores ? cores.size : undefined,
    logicalCores: logicalCores > 0 ? logicalCores : undefined,
    baseMhz: ghz === undefined ? undefined : within(Math.round(Number(ghz) * 1000), 1, 20_000),
    features: [...new Set(flags.map((flag) => featureNames[flag]).filter((name) => name !== undefined))],
    board: Printable.label(first.get("Model")),
    hypervisor: first.has("flags") ? flags.includes("hypervisor") : undefined
  })
}

const cpus = "/sys/devices/system/cpu"

/** Kilohertz, as cpufreq writes them, in MHz. */
const megahertz = (kilohertz: string | undefined) => {
  const value = positiveInteger(kilohertz)
  return value === undefined ? undefined : within(Math.round(value / 1000), 1, 20_000)
}

/** Cores and sockets as the topology files have them: Arm's `/proc/cpuinfo` has neither. */
const topology = (files: KernelFiles, online: ReadonlyArray<number>) => {
  const cores = new Set<string>()
  const sockets = new Set<string>()
  for (const cpu of online) {
    const folder = `${cpus}/cpu${cpu}/topology`
    const siblings = files.line(`${folder}/core_cpus_list`) ?? files.line(`${folder}/thread_siblings_list`)
    if (siblings === undefined) return {}
    cores.add(siblings)
    const socket = positiveInteger(files.line(`${folder}/physical_package_id`))
      ?? (files.line(`${folder}/physical_package_id`) === "0" ? 0 : undefined)
    // Arm firmware that does not know says -1.
    if (socket !== undefined) sockets.add(String(socket))
  }
  return known({
    physicalCores: cores.size > 0 ? cores.size : undefined,
    sockets: sockets.size > 0 ? sockets.size : undefined
  })
}

/** The highest clock of any core: not all cores of a machine are alike. */
const maxMhz = (files: KernelFiles): number | undefined => {
  const policies = files.list(`${cpus}/cpufreq`).filter((name) => name.startsWith("policy"))
  // With one policy per thread, hundreds say the same.
  const asked = policies.length > 64 ? policies.slice(0, 1) : policies
  const clocks = asked.map((policy) => megahertz(files.line(`${cpus}/cpufreq/${policy}/cpuinfo_max_freq`)))
    .filter((clock) => clock !== undefined)
  return clocks.length > 0 ? Math.max(...clocks) : megahertz(files.line(`${cpus}/cpu0/cpufreq/cpuinfo_max_freq`))
}

/** Everything that Linux says about the processors without a process. None of it changes while the machine is up. */
export const readLinuxCpu = (files: KernelFiles): CpuListing => {
  const listing = parseCpuinfo(files.text("/proc/cpuinfo") ?? "")
  const online = rangeList(files.line(`${cpus}/online`))
  const nominal = positiveInteger(files.line(`${cpus}/cpu0/acpi_cppc/nominal_freq`))
  const measured = listing.physicalCores === undefined || listing.sockets === undefined ? topology(files, online) : {}
  return {
    ...listing,
    ...measured,
    ...known({
      logicalCores: online.length > 0 ? online.length : listing.logicalCores,
      baseMhz: megahertz(files.line(`${cpus}/cpu0/cpufreq/base_frequency`)) ?? within(nominal, 1, 20_000)
        ?? listing.baseMhz,
      maxMhz: maxMhz(files)
    })
  }
}
