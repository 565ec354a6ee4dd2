/** The GPUs of a Mac, by system_profiler: it takes seconds, and what it reports does not change. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { decimal } from "../Numbers.js"
import { finding } from "../../node/Findings.js"
import { objectOf, objectsOf, parseJson, textOf } from "../Json.js"
import type { Finding, GpuInfo, GpuVendor } from "../../node/NodeCapabilities.js"
import * as Fingerprint from "../Fingerprint.js"
import type { Host } from "../Host.js"
import type { Reading } from "../Probe.js"
import { describeGpu, type GpuFacts, noGpus, notKnownYet, staleFacts, toolFinding } from "./Gpu.js"

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
      // Apple's and Intel's share the system's memory, whatever share is reported.
      unifiedMemory: vendor === "apple" || vendor === "intel",
      memoryTotalBytes: vendor === "apple" || vendor === "intel" ? undefined : own
    })]
  })
}

const subject = "GPUs"

/** It looks for everything that is plugged in: it is given longer than what is asked often. */
const deadlineOf = (deadline: Duration.DurationInput): Duration.Duration => Duration.times(deadline, 4)

const withoutAnswer = (finding: Finding): Reading<GpuFacts> => ({
  facts: notKnownYet,
  findings: [finding],
  goodFor: "1 minute"
})

const judge = (text: string): Reading<GpuFacts> => {
  const gpus = parseDisplays(text)
  if (gpus === undefined) {
    return withoutAnswer(finding({
      code: "tool.unexpected-output",
      severity: "warning",
      subject,
      message: "system_profiler printed something other than JSON.",
      remedy: "Run system_profiler SPDisplaysDataType -json by hand."
    }))
  }
  const findings = gpus.length === 0 ? [] : [finding({
    code: "apple.no-gpu-in-containers",
    severity: "info",
    subject,
    message: "Containers on macOS cannot use the GPU: engines in containers run on the CPU.",
    remedy: ""
  })]
  return { facts: { ...noGpus, gpus }, findings, goodFor: "1 day" }
}

/** The GPUs of a Mac; none on anything else. */
export const detect = (
  { deadline, platform, tools }: Pick<Host, "tools" | "platform"> & { readonly deadline: Duration.DurationInput }
): Effect.Effect<Reading<GpuFacts>> =>
  Effect.gen(function*() {
    if (platform !== "darwin") return { facts: noGpus, findings: [], goodFor: "1 hour" as const }
    const tool = yield* tools.find(["system_profiler", "/usr/sbin/system_profiler"])
    if (tool === undefined) return { facts: noGpus, findings: [], goodFor: "1 minute" as const }
    return yield* tools.run(tool, ["SPDisplaysDataType", "-json"], deadlineOf(deadline)).pipe(
      Effect.map(({ stdout }) => judge(stdout)),
      Effect.catchAll((error) =>
        Effect.succeed<Reading<GpuFacts>>(
          error._tag === "ProgramNotFound"
            ? { facts: noGpus, findings: [], goodFor: "1 minute" }
            : withoutAnswer(toolFinding(subject, error))
        )
      )
    )
  })

export const fingerprint = (host: Host): Fingerprint.Fingerprint<GpuFacts> => ({
  subject,
  initial: notKnownYet,
  detect: () => detect(host),
  stale: staleFacts,
  deadline: () => Fingerprint.withTools(deadlineOf(host.deadline))
})
