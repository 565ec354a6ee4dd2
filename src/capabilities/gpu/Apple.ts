/** The GPUs of a Mac, by system_profiler: it takes seconds, and what it tells does not change. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { decimal } from "../Numbers.js"
import { finding } from "../../node/Findings.js"
import { objectOf, objectsOf, parseJson, textOf } from "../Json.js"
import type { GpuInfo, GpuVendor } from "../../node/NodeCapabilities.js"
import type { Reading } from "../Probe.js"
import type { Tools } from "../../process/Tool.js"
import { describeGpu, toolFinding } from "./Gpu.js"

/** Bytes from `8 GB` or `1536 MB`. */
const sizeOf = (text: string | undefined): number | undefined => {
  const match = /^([\d.,]+)\s*([MGT])B$/.exec(text ?? "")
  const value = decimal(match?.[1])
  const exponent = { M: 2, G: 3, T: 4 }[match?.[2] ?? ""]
  return value === undefined || exponent === undefined ? undefined : value * 1024 ** exponent
}

const vendorOf = (vendor: string, model: string): GpuVendor | undefined =>
  /apple|0x106b/i.test(vendor) || /^apple/i.test(model)
    ? "apple"
    : /amd|ati|0x1002/i.test(vendor)
    ? "amd"
    : /intel|0x8086/i.test(vendor)
    ? "intel"
    : /nvidia|0x10de/i.test(vendor)
    ? "nvidia"
    : undefined

/** Reads `system_profiler SPDisplaysDataType -json`; `undefined` for what is not its JSON. */
export const parseDisplays = (text: string): ReadonlyArray<GpuInfo> | undefined => {
  const list = objectOf(parseJson(text)).SPDisplaysDataType
  if (!Array.isArray(list)) return undefined
  return objectsOf(list, 64).flatMap((entry, index) => {
    const model = textOf(entry.sppci_model) ?? textOf(entry._name)
    const vendor = vendorOf(textOf(entry.spdisplays_vendor) ?? "", model ?? "")
    if (vendor === undefined) return []
    const own = sizeOf(textOf(entry.spdisplays_vram) ?? textOf(entry._spdisplays_vram))
    return [describeGpu({
      vendor,
      model,
      index,
      // Apple's and Intel's share the system's memory, whatever is said of a share.
      unifiedMemory: vendor === "apple" || vendor === "intel",
      memoryTotalBytes: vendor === "apple" || vendor === "intel" ? undefined : own
    })]
  })
}

const subject = "GPUs"

/** The GPUs of a Mac; none on anything else. */
export const detect = (
  options: { readonly tools: Tools; readonly deadline: Duration.DurationInput; readonly platform: NodeJS.Platform }
): Effect.Effect<Reading<ReadonlyArray<GpuInfo>>> =>
  Effect.gen(function*() {
    const nothing: ReadonlyArray<GpuInfo> = []
    if (options.platform !== "darwin") return { facts: nothing, findings: [], goodFor: "1 hour" as const }
    const tool = yield* options.tools.find(["system_profiler", "/usr/sbin/system_profiler"])
    if (tool === undefined) return { facts: nothing, findings: [], goodFor: "1 minute" as const }
    const outcome = yield* Effect.either(
      // It looks for everything that is plugged in: give it longer than what is asked often.
      options.tools.run(tool, ["SPDisplaysDataType", "-json"], Duration.times(options.deadline, 4))
    )
    if (Either.isLeft(outcome)) {
      const findings = outcome.left._tag === "ToolNotFound" ? [] : [toolFinding(subject, outcome.left)]
      return { facts: nothing, findings, goodFor: "1 minute" as const }
    }
    const gpus = parseDisplays(outcome.right.stdout)
    if (gpus === undefined) {
      const findings = [finding({
        code: "tool.unexpected-output",
        severity: "warning",
        subject,
        message: "system_profiler printed something else than JSON.",
        remedy: "Run system_profiler SPDisplaysDataType -json by hand."
      })]
      return { facts: nothing, findings, goodFor: "1 minute" as const }
    }
    const findings = gpus.length === 0 ? [] : [finding({
      code: "apple.no-gpu-in-containers",
      severity: "info",
      subject,
      message: "Containers on macOS cannot use the GPU: engines in containers run on the processors.",
      remedy: ""
    })]
    return { facts: gpus, findings, goodFor: "1 day" as const }
  })
