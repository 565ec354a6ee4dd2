/** What an answer of nvidia-smi means: which GPUs there are, and what is wrong with them. Pure, for every fixture. */
import type * as Duration from "effect/Duration"
import { finding, type FindingCode } from "../../node/Findings.js"
import { Finding, type GpuInfo } from "../../node/NodeCapabilities.js"
import type { ProgramFailed } from "../../process/ProcessRunner.js"
import * as Printable from "../../text/Printable.js"
import type { Reading } from "../Probe.js"
import { describeGpu, toolFinding, withoutReadings } from "./Gpu.js"
import type { NvidiaFacts } from "./NvidiaFacts.js"
import { diagnose, type NvidiaProblem } from "./NvidiaProblems.js"
import { linesOf, type NvidiaField, type NvidiaRow, type NvidiaTable, parseTable } from "./NvidiaSmi.js"
import type { PciGpu } from "./PciBus.js"

const subject = "NVIDIA GPUs"

/** What the tool printed to the query of these fields, and how it failed. */
export interface Reply {
  readonly fields: ReadonlyArray<NvidiaField>
  readonly stdout: string
  readonly stderr: string
  readonly failure: ProgramFailed | undefined
}

/** What is known apart from the answer. */
export interface QueryContext {
  readonly bus: ReadonlyArray<PciGpu>
  readonly jetson: GpuInfo | undefined
  readonly platform: NodeJS.Platform
}

export interface Judgement {
  readonly reading: Reading<NvidiaFacts>
  /** It has a table of GPUs, about which more can be asked. */
  readonly hasTable: boolean
  /** Some GPU is partitioned (MIG). */
  readonly isPartitioned: boolean
}

/** What the tool says on a machine that has no GPU of NVIDIA's. */
const expectedWithoutGpu: ReadonlySet<string> = new Set<FindingCode>([
  "nvidia.driver-not-loaded",
  "nvidia.nvml-missing",
  "nvidia.no-gpu"
])

/** The tool reported nothing: what is known of the GPUs stays, without readings. */
export const unanswered = (
  previous: NvidiaFacts,
  findings: ReadonlyArray<Finding>,
  goodFor: Duration.DurationInput
): Reading<NvidiaFacts> => ({
  facts: {
    ...previous,
    gpus: previous.gpus.map((gpu) => withoutReadings(gpu, findings[0]?.message ?? "nvidia-smi failed")),
    users: new Map(),
    processes: [],
    processesListed: undefined
  },
  findings,
  goodFor
})

/** On a Jetson, nvidia-smi knows that there is a GPU and little more: its files know the rest. */
const combine = (gpu: GpuInfo, jetson: GpuInfo): GpuInfo =>
  describeGpu({
    ...gpu,
    model: jetson.model,
    utilizationPercent: gpu.utilizationPercent ?? jetson.utilizationPercent,
    temperatureCelsius: gpu.temperatureCelsius ?? jetson.temperatureCelsius,
    computeCapability: gpu.computeCapability ?? jetson.computeCapability,
    driverVersion: gpu.driverVersion ?? jetson.driverVersion
  })

const printedSomethingElse = (line: string): Finding =>
  finding({
    code: "tool.unexpected-output",
    severity: "error",
    subject,
    message: `nvidia-smi printed something other than its table: ${Printable.label(line, 120) ?? ""}`,
    remedy: "Run nvidia-smi by hand, and make sure that it is NVIDIA's."
  })

const printedSurplus = (line: string): Finding =>
  finding({
    code: "tool.unexpected-output",
    severity: "error",
    subject,
    message: `nvidia-smi printed a row with more columns than were queried: ${Printable.label(line, 120) ?? ""}`,
    remedy: "The GPU is not reported. Please report this row, so that the agent learns to read it."
  })

/** No GPU is listed: there is none, or the driver does not work. */
const withoutRows = (
  previous: NvidiaFacts,
  table: NvidiaTable,
  remarks: ReadonlyArray<string>,
  problems: ReadonlyArray<Finding>,
  { bus, jetson, platform }: QueryContext
): Reading<NvidiaFacts> => {
  const none = { ...previous, gpus: [], users: new Map(), processes: [], processesListed: undefined, isKnown: true }
  if (jetson !== undefined) return { facts: { ...none, gpus: [jetson] }, findings: problems }
  const [first] = remarks
  const findings = table.ambiguous.length > 0
    ? table.ambiguous.slice(0, 8).map(printedSurplus)
    : problems.length === 0 && first !== undefined
    ? [printedSomethingElse(first)]
    : problems
  // It ran, and has nothing to report: no GPU.
  if (findings.length === 0) return { facts: none, findings, goodFor: "10 seconds" }
  const onBus = bus.some((gpu) => gpu.vendor === "nvidia" && gpu.driver !== "vfio-pci")
  const mayHaveGpu = previous.gpus.length > 0 || onBus || platform !== "linux"
  if (mayHaveGpu || !findings.every(({ code }) => expectedWithoutGpu.has(code))) {
    return unanswered({ ...previous, isKnown: true }, findings, "10 seconds")
  }
  // The tool is installed on a machine that has no such GPU: nothing to worry about, nothing to query often.
  const harmless = findings.map((found) => new Finding({ ...found, severity: "info" }))
  return { facts: none, findings: harmless, goodFor: "1 minute" }
}

/** What a listed GPU lacks. */
const findingOf = ({ errors, gpu }: NvidiaRow): ReadonlyArray<Finding> => {
  const [first] = errors
  if (first === undefined) return []
  const isLost = gpu.healthProblem === "fell off the bus"
  const mustReset = gpu.healthProblem === "must be reset"
  return [finding({
    code: isLost ? "nvidia.gpu-lost" : mustReset ? "nvidia.needs-reset" : "nvidia.field-error",
    severity: gpu.healthy ? "warning" : "error",
    subject: `gpu ${gpu.index}`,
    message: gpu.healthy
      ? `GPU ${gpu.index} does not report ${errors.map(([field]) => field).join(", ")} (${first[1]}).`
      : `GPU ${gpu.index} ${gpu.healthProblem} (${first[1]}).`,
    remedy: isLost
      ? "Reboot; if it happens again, check the GPU's seat, power and cooling, and the kernel log for Xid 79."
      : "Check the kernel log (dmesg | grep -i nvrm); a reset of the GPU (nvidia-smi --gpu-reset) may help."
  })]
}

/** The GPUs that a remark names as lost, as far as they are not listed. */
const lostGpus = (
  listed: ReadonlyArray<GpuInfo>,
  problems: ReadonlyArray<NvidiaProblem>,
  previous: ReadonlyArray<GpuInfo>
): ReadonlyArray<GpuInfo> => {
  const lost: Array<GpuInfo> = []
  for (const { address, finding: { code }, index } of problems) {
    if (code !== "nvidia.gpu-lost" || (address === undefined && index === undefined)) continue
    const before = previous.find((gpu) => address === undefined ? gpu.index === index : gpu.pciAddress === address)
    const healthProblem = "fell off the bus"
    const gpu = before === undefined
      ? describeGpu({ vendor: "nvidia", model: undefined, index, pciAddress: address, healthProblem })
      : withoutReadings(before, healthProblem)
    const others = [...listed, ...lost]
    const isSame = (other: GpuInfo) => isListed([other], gpu) || (gpu.index !== undefined && other.index === gpu.index)
    if (!others.some(isSame)) lost.push(gpu)
  }
  return lost
}

const isListed = (gpus: ReadonlyArray<GpuInfo>, gpu: GpuInfo): boolean =>
  gpus.some((other) => other.uuid === gpu.uuid || (gpu.pciAddress !== undefined && other.pciAddress === gpu.pciAddress))

/** Which GPUs there are by this answer, and what is wrong with them. */
export const judge = (reply: Reply, previous: NvidiaFacts, context: QueryContext): Judgement => {
  const { failure, fields, stderr, stdout } = reply
  const before: NvidiaFacts = { ...previous, fields }
  const table = parseTable(stdout, fields, failure === undefined || failure.exitCode !== undefined)
  const remarks = [...table.remarks, ...linesOf(stderr).filter((line) => line !== "")]
  const listed = table.rows.map(({ gpu }) => gpu)
  const indexOf = (address: string) => [...listed, ...previous.gpus].find((gpu) => gpu.pciAddress === address)?.index
  const problems = diagnose(remarks, failure?.exitCode, indexOf)
  const findings = problems.map((problem) => problem.finding)
  if (failure !== undefined && findings.length === 0) findings.push(toolFinding(subject, failure))
  if (listed.length === 0) {
    const reading = withoutRows(before, table, remarks, findings, context)
    return { reading, hasTable: false, isPartitioned: false }
  }
  const { jetson } = context
  const gpus = listed.map((gpu) => jetson !== undefined && gpu.unifiedMemory ? combine(gpu, jetson) : gpu)
  gpus.push(...lostGpus(gpus, problems, previous.gpus))
  findings.push(...table.rows.flatMap(findingOf), ...table.ambiguous.slice(0, 8).map(printedSurplus))
  if (failure !== undefined) {
    // A tool that died may not have come to the others.
    const problem = findings[0]?.message ?? "is not listed"
    const missing = previous.gpus.filter((gpu) => !isListed(gpus, gpu))
    gpus.push(...missing.map((gpu) => withoutReadings(gpu, problem)))
  }
  const facts = { ...before, gpus: gpus.sort((a, b) => (a.index ?? 1024) - (b.index ?? 1024)), isKnown: true }
  return {
    reading: failure !== undefined && failure.exitCode === undefined
      ? { facts, findings, goodFor: "10 seconds" }
      : { facts, findings },
    hasTable: true,
    isPartitioned: table.rows.some(({ migEnabled }) => migEnabled)
  }
}
