/** Whatever files and tools hold, their parsers neither throw, nor take long, nor make up an impossible value. */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Cgroup from "../../src/capabilities/Cgroup.js"
import { parseCpuinfo } from "../../src/capabilities/Cpu.js"
import { parseDisplays } from "../../src/capabilities/gpu/Apple.js"
import { parseKfdNode } from "../../src/capabilities/gpu/AmdDevices.js"
import { parseAmdSmi } from "../../src/capabilities/gpu/AmdSmi.js"
import { nameInAmdgpuIds, nameInPciIds } from "../../src/capabilities/gpu/DeviceNames.js"
import { parseTegraRelease } from "../../src/capabilities/gpu/Jetson.js"
import { diagnose } from "../../src/capabilities/gpu/NvidiaProblems.js"
import {
  allFields,
  parseMigList,
  parseProcesses,
  parseTable,
  unknownField
} from "../../src/capabilities/gpu/NvidiaSmi.js"
import { parseModalias, pciAddress } from "../../src/capabilities/gpu/PciBus.js"
import { parseDiscovery, parseStats } from "../../src/capabilities/gpu/XpuSmi.js"
import { parseJson } from "../../src/capabilities/Json.js"
import { parseSwVers, parseSysctl, parseVmStat } from "../../src/capabilities/MacOs.js"
import { parseMeminfo } from "../../src/capabilities/Memory.js"
import { parseLinkSpeed } from "../../src/capabilities/Network.js"
import { decimal, rangeList, wholeNumber } from "../../src/capabilities/Numbers.js"
import { containerOfCgroup, hypervisorOf, parseOsRelease } from "../../src/capabilities/OperatingSystem.js"

/** Every parser of this room, by what it reads. */
const parsers: Readonly<Record<string, (text: string) => unknown>> = {
  "nvidia-smi's table": (text) => parseTable(text, allFields),
  "nvidia-smi's table, cut off": (text) => parseTable(text, allFields, false),
  "nvidia-smi's programs": (text) => parseProcesses(text),
  "nvidia-smi -L": parseMigList,
  "nvidia-smi's remarks": (text) => diagnose(text.split("\n").slice(0, 2048), 255),
  "nvidia-smi's refusals": unknownField,
  "amd-smi": parseAmdSmi,
  "a KFD node": parseKfdNode,
  "xpu-smi discovery": parseDiscovery,
  "xpu-smi stats": parseStats,
  "system_profiler": parseDisplays,
  "pci.ids": (text) => nameInPciIds(text, "0x1002", "0x73bf"),
  "amdgpu.ids": (text) => nameInAmdgpuIds(text, "0x73bf", "0xc1"),
  "modalias": parseModalias,
  "a PCI address": pciAddress,
  "nv_tegra_release": parseTegraRelease,
  "cpuinfo": parseCpuinfo,
  "meminfo": parseMeminfo,
  "os-release": parseOsRelease,
  "DMI": hypervisorOf,
  "the cgroup of process 1": containerOfCgroup,
  "cgroup membership": Cgroup.parseMembership,
  "mountinfo": Cgroup.parseMounts,
  "memory.max": Cgroup.parseMemoryLimit,
  "cpu.max": Cgroup.parseCpuMax,
  "a list of processors": rangeList,
  "link speed": parseLinkSpeed,
  "sysctl": parseSysctl,
  "sw_vers": parseSwVers,
  "vm_stat": (text) => parseVmStat(text, text, 2 ** 36),
  "JSON": parseJson,
  "a decimal": decimal,
  "a whole number": wholeNumber
}

/** The numbers anywhere in a value, with where they are. */
const numbersIn = (value: unknown, where: string): ReadonlyArray<readonly [string, number]> =>
  typeof value === "number"
    ? [[where, value]]
    : value instanceof Map
    ? [...value].flatMap(([key, item]) => numbersIn(item, `${where}.${key}`))
    : typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, item]) => numbersIn(item, `${where}.${key}`))
    : []

/** Pieces of what these files and tools hold, and of what they should not. */
const piece = FastCheck.oneof(
  { weight: 2, arbitrary: FastCheck.string({ unit: "binary", maxLength: 20 }) },
  FastCheck.integer().map(String),
  FastCheck.double().map(String),
  FastCheck.constantFrom(
    "\n",
    ", ",
    ": ",
    " - ",
    "\t",
    "max",
    "[N/A]",
    "[Unknown Error]",
    "0, GPU-1, 00000000:01:00.0, ",
    "GPU-",
    "MIG-",
    "MemTotal: 18446744073709551615 kB",
    "processor\t: 0\n",
    "cpu MHz : 1e999\n",
    "0::/",
    "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
    "PRETTY_NAME=\"",
    "1002  Advanced Micro Devices\n\t73bf  ",
    "73BF,\tC1,\t",
    "{\"gpu_data\":[{\"vram\":{\"size\":{\"value\":1e999}}}]}",
    "{\"device_level\":[{\"metrics_type\":\"XPUM_STATS_POWER\",\"value\":-1}]}",
    "{\"SPDisplaysDataType\":[{\"spdisplays_vram\":\"99999999999999 TB\",\"sppci_model\":\"AMD\"}]}",
    "location_id 65535\ngfx_target_version 90402\n",
    "Pages wired down: 99999999999999999999.\n",
    "page size of 16384 bytes",
    "total = 1024.00M",
    "hw.packages: -1\n",
    "GPU is lost",
    "\u001b[31m",
    "\u202e"
  )
)

describe("The parsers of files and tools", () => {
  it("never throw, and never make an impossible number", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join("")
        for (const [name, parse] of Object.entries(parsers)) {
          // Other people's JSON has other people's numbers.
          const numbers = name === "JSON" ? [] : numbersIn(parse(text), name)
          for (const [where, number] of numbers) {
            assert.isTrue(Number.isFinite(number) && number >= 0, `${where}: ${number}`)
          }
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("take no more than linear time, whatever floods them", () => {
    const size = 256 * 1024
    const fill = (unit: string) => unit.repeat(Math.ceil(size / unit.length))
    const floods = [
      " ",
      "\n",
      "\r",
      "0",
      ",",
      ", ",
      "[",
      "]",
      "{\"a\":[",
      ":",
      "\\",
      "\"",
      "GPU 0: (UUID: GPU-",
      "Microsoft Corporation ",
      "0, GPU-1, 00000000:01:00.0, ",
      "processor : 0\n",
      "MemTotal:  1",
      "\u001b]",
      "\u001b[",
      "0-1,",
      "page size of 1 bytes\nPages wired down: 1",
      "PRETTY_NAME='",
      "1002 \n\t73bf [",
      "73bf, c1, a,"
    ]
    for (const flood of floods) {
      const text = fill(flood)
      // One line of it after what a parser looks for, too.
      for (const input of [text, `1002 x\n\t73bf  ${text}`, `Pages wired down:${text}x`, `PRETTY_NAME="${text}\nx`]) {
        for (const [name, parse] of Object.entries(parsers)) {
          const before = process.cpuUsage()
          parse(input)
          // Linear ones take some milliseconds of processor time, quadratic ones minutes.
          assert.isBelow(process.cpuUsage(before).user / 1000, 500, `${name} of ${JSON.stringify(flood)}`)
        }
      }
    }
  }, 120_000)
})
