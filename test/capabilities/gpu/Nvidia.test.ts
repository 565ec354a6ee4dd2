import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as fs from "node:fs"
import * as path from "node:path"
import { deviceFiles } from "../../../src/capabilities/Files.js"
import * as Nvidia from "../../../src/capabilities/gpu/Nvidia.js"
import * as NvidiaFacts from "../../../src/capabilities/gpu/NvidiaFacts.js"
import * as NvidiaProblems from "../../../src/capabilities/gpu/NvidiaProblems.js"
import * as NvidiaSmi from "../../../src/capabilities/gpu/NvidiaSmi.js"
import * as PciBus from "../../../src/capabilities/gpu/PciBus.js"
import { GpuInfo, GpuProcess } from "../../../src/node/CapabilitiesSchema.js"
import * as Tool from "../../../src/process/Tool.js"
import { fakeTool, fixture, machine, matches, temporaryDirectory, tree } from "../Support.js"

const MiB = 1024 ** 2

const table = (name: string, fields: ReadonlyArray<NvidiaSmi.NvidiaField> = NvidiaSmi.allFields, complete = true) =>
  NvidiaSmi.parseTable(fixture(`nvidia/${name}`), fields, complete)

/** A machine with a fake nvidia-smi, which notes how it was called in `calls`. */
const withTool = (options: {
  readonly script?: string
  readonly files?: Readonly<Record<string, string>>
  readonly deadline?: Duration.DurationInput
  readonly inContainer?: boolean
}) =>
  Effect.gen(function*() {
    const root = yield* machine(options.files ?? {})
    const directory = yield* temporaryDirectory
    if (options.script !== undefined) {
      fakeTool(
        directory,
        "nvidia-smi",
        `echo "$1" >> ${directory}/calls\nfixtures=${
          path.join(import.meta.dirname, "../fixtures/nvidia")
        }\n${options.script}`
      )
    }
    const files = deviceFiles(root)
    const detect = Nvidia.detect({
      tools: yield* Tool.make({ path: directory, env: {}, platform: "linux" }),
      bus: yield* PciBus.make(deviceFiles(root)),
      files,
      deadline: options.deadline ?? "20 seconds",
      root,
      platform: "linux",
      env: {},
      idleGoodFor: Duration.seconds(25),
      inContainer: () => options.inContainer ?? false
    })
    const calls = () => {
      const file = path.join(directory, "calls")
      return fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : []
    }
    return { detect, calls, directory }
  })

const once = (options: Parameters<typeof withTool>[0], previous: NvidiaFacts.NvidiaFacts = NvidiaFacts.initial) =>
  Effect.flatMap(withTool(options), ({ detect }) => detect(previous))

/** Answers the table with a fixture, and nothing else. */
const prints = (name: string, then = "") => `case $1 in --query-gpu*) cat $fixtures/${name}; ${then} ;; esac`

const known = (name: string): NvidiaFacts.NvidiaFacts => ({
  ...NvidiaFacts.initial,
  gpus: table(name).rows.map((row) => row.gpu)
})

describe("Nvidia's table", () => {
  it("has one row per GPU of a server with eight", () => {
    const { remarks, rows } = table("h100x8.csv")
    assert.lengthOf(rows, 8)
    assert.deepStrictEqual(remarks, [])
    assert.deepStrictEqual({ ...rows[1]?.gpu }, {
      vendor: "nvidia",
      model: "NVIDIA H100 80GB HBM3",
      uuid: "GPU-4a1b2c3d-0001-4f6e-9d2a-1b2c3d4e5f61",
      index: 1,
      pciAddress: "0000:3b:00.0",
      memoryTotalBytes: 81_559 * MiB,
      memoryUsedBytes: 64_213 * MiB,
      memoryFreeBytes: 16_863 * MiB,
      unifiedMemory: false,
      utilizationPercent: 96,
      temperatureCelsius: 58,
      powerDrawWatts: 598.1,
      powerLimitWatts: 700,
      driverVersion: "550.54.15",
      computeCapability: "9.0",
      migInstances: [],
      foreignProcesses: [],
      healthy: true
    })
    // Nothing in use is a figure; an idle GPU is not an unknown one.
    assert.strictEqual(rows[3]?.gpu.memoryUsedBytes, 0)
    assert.strictEqual(rows[3]?.gpu.utilizationPercent, 0)
  })

  it("does not know the load of a GPU that is cut up, and says that it is", () => {
    const { rows } = table("mig.csv")
    assert.deepStrictEqual(rows.map((row) => row.migEnabled), [true, false])
    assert.isUndefined(rows[0]?.gpu.utilizationPercent)
    assert.isFalse(rows[0]?.gpu.unifiedMemory)
  })

  it("takes a GPU without any memory values for one that shares the system's", () => {
    for (const name of ["gb10.csv", "orin.csv"]) {
      const [row] = table(name).rows
      assert.isTrue(row?.gpu.unifiedMemory, name)
      assert.isTrue(row?.gpu.healthy, name)
      assert.isUndefined(row?.gpu.memoryTotalBytes, name)
    }
    assert.strictEqual(table("gb10.csv").rows[0]?.gpu.pciAddress, "000f:01:00.0")
    assert.isUndefined(table("orin.csv").rows[0]?.gpu.uuid)
  })

  it("reads what an old driver has", () => {
    const { rows } = table("old-driver.csv", NvidiaSmi.oldFields)
    assert.lengthOf(rows, 2)
    assert.isUndefined(rows[0]?.gpu.computeCapability)
    assert.strictEqual(rows[0]?.gpu.memoryTotalBytes, 11_441 * MiB)
    assert.strictEqual(rows[0]?.gpu.powerLimitWatts, 149)
  })

  it("distinguishes a GPU that is lost, one that must be reset and one that is silent from one that lacks a value", () => {
    const { rows } = table("errors.csv")
    assert.deepStrictEqual(rows.map(({ gpu }) => gpu.healthProblem), [
      "does not report its readings",
      undefined,
      "fell off the bus",
      "must be reset"
    ])
    assert.deepStrictEqual(rows.map(({ gpu }) => gpu.unifiedMemory), [false, false, false, false])
    assert.isUndefined(rows[1]?.gpu.powerLimitWatts)
    assert.strictEqual(rows[1]?.gpu.powerDrawWatts, 228.82)
    assert.deepStrictEqual(rows[1]?.errors, [["power.limit", "[Unknown Error]"]])
  })

  it("bears decimal commas, units, extra columns, zeros, gaps and lies", () => {
    const { remarks, rows } = table("odd.csv")
    assert.lengthOf(rows, 4)
    assert.lengthOf(remarks, 1)
    const figures = rows.map(({ gpu }) => [
      gpu.memoryTotalBytes,
      gpu.memoryUsedBytes,
      gpu.memoryFreeBytes,
      gpu.utilizationPercent,
      gpu.temperatureCelsius,
      gpu.powerDrawWatts,
      gpu.powerLimitWatts
    ])
    const plain = [16_376 * MiB, 1021 * MiB, 15_021 * MiB, 12, 44, 75.21, 140]
    const nothing = undefined
    assert.deepStrictEqual(figures, [
      plain,
      plain,
      // Zero of a GPU's memory, temperature or power is not a measurement.
      [nothing, 0, 0, nothing, nothing, nothing, nothing],
      // More in use than there is: neither figure is believed.
      [16_376 * MiB, nothing, nothing, nothing, nothing, nothing, nothing]
    ])
  })

  it("gives surplus columns to a name with commas in it, or takes the row for unreadable: nothing is shifted", () => {
    const before = "0, GPU-10101010-aaaa-4f6e-9d2a-000000000000, 00000000:01:00.0, "
    const after = ", 550.54.15, 8.6, 16376, 1021, 15021, 12, 44, 75.21, 140.00, [N/A]"
    for (const name of ["NVIDIA RTX A4000, Laptop", "A, B, C, D", "Quadro, 12, 8.6"]) {
      const { ambiguous, rows } = NvidiaSmi.parseTable(before + name + after, NvidiaSmi.allFields)
      assert.deepStrictEqual(ambiguous, [])
      assert.deepInclude({ ...rows[0]?.gpu }, {
        model: name,
        memoryTotalBytes: 16_376 * MiB,
        powerDrawWatts: 75.21,
        driverVersion: "550.54.15"
      })
    }
    const odd = `${before}A, B, none, none, lots, few, some, 12, 44, 75.21, 140.00, off, x`
    const { ambiguous, rows } = NvidiaSmi.parseTable(odd, NvidiaSmi.allFields)
    assert.deepStrictEqual([ambiguous, rows], [[odd], []])
  })

  it.scopedLive("has a finding for a row that cannot be read, beside the rows that can", () =>
    Effect.gen(function*() {
      const { facts, findings } = yield* once({ script: prints("ambiguous.csv") })
      assert.deepStrictEqual(facts.gpus.map(({ index }) => index), [1])
      assert.deepStrictEqual(findings.map(({ code }) => code), ["tool.unexpected-output"])
      assert.include(findings[0]?.message, "0, GPU-10101010-aaaa")
    }))

  it("does not take the beginning of a number for the number when the tool died while writing it", () => {
    assert.deepStrictEqual(table("cut-off.csv", NvidiaSmi.allFields, false).rows.map((row) => row.gpu.index), [0])
    const old = table("old-driver-cut-off.csv", NvidiaSmi.oldFields, false).rows
    assert.deepStrictEqual(old.map((row) => row.gpu.powerLimitWatts), [149])
  })

  it("is empty for text in its place", () => {
    for (
      const text of [
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n",
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.183\n",
        "<html>, , , , , , , , , , , , , , </html>"
      ]
    ) assert.deepStrictEqual(NvidiaSmi.parseTable(text, NvidiaSmi.allFields).rows, [], text)
  })

  it("never has an impossible GPU in it, whatever is printed", () => {
    const cell = FastCheck.oneof(
      { weight: 3, arbitrary: FastCheck.double().map(String) },
      { weight: 3, arbitrary: FastCheck.integer().map(String) },
      { weight: 3, arbitrary: FastCheck.nat({ max: 200 }).map(String) },
      FastCheck.string(),
      FastCheck.constantFrom(
        "[N/A]",
        "N/A",
        "[Not Supported]",
        "[Unknown Error]",
        "[GPU is lost]",
        "",
        "0",
        "1e400",
        "99999999999999",
        "12,5",
        "Enabled"
      )
    )
    const row = FastCheck.tuple(
      FastCheck.nat({ max: 9 }).map(String),
      FastCheck.array(cell, { minLength: 8, maxLength: 18 })
    )
      .map(([index, cells]) => [index, ...cells].join(", "))
    const isGpu = matches(GpuInfo)
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.oneof(row, FastCheck.string())), (lines) => {
        for (const { gpu } of NvidiaSmi.parseTable(lines.join("\n"), NvidiaSmi.allFields).rows) {
          assert.isTrue(isGpu(gpu))
          assert.isAtMost((gpu.memoryUsedBytes ?? 0) + (gpu.memoryFreeBytes ?? 0), gpu.memoryTotalBytes ?? Infinity)
          assert.notStrictEqual(gpu.memoryTotalBytes, 0)
          assert.isAtMost(gpu.utilizationPercent ?? 0, 100)
        }
        NvidiaProblems.diagnose(lines, 255)
        NvidiaSmi.parseMigList(lines.join("\n"))
        const isProcess = matches(GpuProcess)
        for (const { process } of NvidiaSmi.parseProcesses(lines.map((line) => `GPU-1, ${line}`).join("\n"))) {
          assert.isTrue(isProcess(process))
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe("Nvidia's lists", () => {
  it("name the programs on each GPU, with commas in their paths or without a name", () => {
    assert.deepStrictEqual(
      NvidiaSmi.parseProcesses(fixture("nvidia/h100x8-apps.csv")).map((
        { process }
      ) => [process.pid, process.name, process.memoryUsedBytes]),
      [
        [218_841, "python3", 64_204 * MiB],
        [218_842, "run.py", 64_204 * MiB],
        [218_900, "unknown", undefined],
        [4242, "vllm", MiB]
      ]
    )
  })

  it("name the pieces of the GPUs that are cut up", () => {
    assert.deepStrictEqual(
      NvidiaSmi.parseMigList(fixture("nvidia/mig-list.txt")).map((
        { gpuUuid, instance }
      ) => [gpuUuid.slice(0, 12), instance.profile, instance.uuid]),
      [
        ["GPU-11112222", "3g.40gb", "MIG-0b9a7b47-1f6e-5a3c-8c71-aaaaaaaaaaaa"],
        ["GPU-11112222", "1g.10gb+me", "MIG-0b9a7b47-1f6e-5a3c-8c71-bbbbbbbbbbbb"],
        ["GPU-11112222", "1c.3g.40gb", "MIG-GPU-11112222-3333-4444-5555-666677778888/7/0"]
      ]
    )
  })
})

describe("Nvidia's failures", () => {
  const code = (remark: string, exitCode?: number) =>
    NvidiaProblems.diagnose(remark === "" ? [] : [remark], exitCode).map((problem) => problem.finding.code)

  it("are recognized by the tool's output", () => {
    assert.deepStrictEqual(code("Failed to initialize NVML: Driver/library version mismatch", 255), [
      "nvidia.driver-mismatch"
    ])
    assert.deepStrictEqual(
      code(
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."
      ),
      ["nvidia.driver-not-loaded"]
    )
    assert.deepStrictEqual(code("Failed to initialize NVML: Unknown Error", 255), ["nvidia.access-lost"])
    assert.deepStrictEqual(code("Failed to initialize NVML: Insufficient Permissions", 4), ["nvidia.permission"])
    assert.deepStrictEqual(code("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."), [
      "nvidia.nvml-missing"
    ])
    assert.deepStrictEqual(code("No devices were found", 6), ["nvidia.no-gpu"])
    assert.deepStrictEqual(code("WARNING: infoROM is corrupted at gpu 0000:3B:00.0", 14), ["nvidia.inforom-corrupted"])
    assert.deepStrictEqual(code("hello"), [])
  })

  it("are recognized by the exit code where the tool prints nothing", () => {
    const codes: Readonly<Record<number, string>> = {
      3: "nvidia.unsupported",
      4: "nvidia.permission",
      6: "nvidia.no-gpu",
      8: "nvidia.power-cable",
      9: "nvidia.driver-not-loaded",
      10: "nvidia.interrupt-issue",
      12: "nvidia.nvml-missing",
      13: "nvidia.nvml-too-old",
      14: "nvidia.inforom-corrupted",
      15: "nvidia.gpu-lost"
    }
    for (const [exitCode, expected] of Object.entries(codes)) {
      assert.deepStrictEqual(code("", Number(exitCode)), [expected])
    }
    assert.deepStrictEqual(code("", 255), [])
    assert.deepStrictEqual(code("", 0), [])
  })

  it("name the GPU, in each form that drivers have used", () => {
    const about = (remark: string) =>
      NvidiaProblems.diagnose([remark], 15).map((
        { address, finding, index }
      ) => [finding.subject, finding.message, index, address])
    assert.deepStrictEqual(about("Unable to determine the device handle for GPU3: 0000:5D:00.0: Unknown Error"), [
      ["gpu 3", "GPU 3 at 0000:5d:00.0 fell off the bus or cannot be reached.", 3, "0000:5d:00.0"]
    ])
    assert.deepStrictEqual(
      about(
        "Unable to determine the device handle for GPU0000:25:00.0: GPU is lost.  Reboot the system to recover this GPU"
      ),
      [
        ["gpu 0000:25:00.0", "GPU at 0000:25:00.0 fell off the bus or cannot be reached.", undefined, "0000:25:00.0"]
      ]
    )
    assert.deepStrictEqual(about("Unable to determine the device handle for GPU2: Unknown Error"), [
      ["gpu 2", "GPU 2 fell off the bus or cannot be reached.", 2, undefined]
    ])
  })
})

describe.skipIf(process.platform === "win32")("Nvidia's probe", () => {
  it.scopedLive("takes two processes: one for the GPUs and one for who uses them", () =>
    Effect.gen(function*() {
      const { calls, detect } = yield* withTool({
        script: "case $1 in --query-gpu*) cat $fixtures/h100x8.csv ;; *) cat $fixtures/h100x8-apps.csv ;; esac"
      })
      const reading = yield* detect(NvidiaFacts.initial)
      assert.lengthOf(reading.facts.gpus, 8)
      assert.lengthOf(reading.facts.processes, 4)
      assert.deepStrictEqual([...reading.findings], [])
      assert.isUndefined(reading.goodFor)
      assert.deepStrictEqual(calls(), [
        `--query-gpu=${NvidiaSmi.allFields.join(",")}`,
        "--query-compute-apps=gpu_uuid,pid,process_name,used_memory"
      ])
    }))

  it.scopedLive("asks who uses the GPUs again when what they use has changed, or half a minute later", () =>
    Effect.gen(function*() {
      const { calls, detect, directory } = yield* withTool({
        script: "case $1 in --query-gpu*) cat $0.table ;; *) cat $fixtures/h100x8-apps.csv ;; esac"
      })
      const file = path.join(directory, "nvidia-smi.table")
      fs.writeFileSync(file, fixture("nvidia/h100x8.csv"))
      const asked = () => calls().filter((call) => call.startsWith("--query-compute-apps")).length
      const first = yield* detect(NvidiaFacts.initial)
      const second = yield* detect(first.facts)
      assert.strictEqual(asked(), 1)
      assert.lengthOf(second.facts.processes, 4)
      fs.writeFileSync(file, fixture("nvidia/h100x8.csv").split("\n").slice(1).join("\n"))
      const third = yield* detect(second.facts)
      assert.strictEqual(asked(), 2)
      const { processesListed } = third.facts
      if (processesListed === undefined) return assert.fail("The programs are not known.")
      yield* detect({ ...third.facts, processesListed: { ...processesListed, at: processesListed.at - 31_000 } })
      assert.strictEqual(asked(), 3)
    }))

  it.scopedLive("asks an old driver without the field that it does not know, and remembers which", () =>
    Effect.gen(function*() {
      const { calls, detect } = yield* withTool({
        script: `case $1 in
          *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; echo; exit 2 ;;
          *mig.mode*) echo 'Field "mig.mode.current" is not a valid field to query.'; exit 2 ;;
          --query-gpu*) cat $fixtures/old-driver.csv ;;
        esac`
      })
      const first = yield* detect(NvidiaFacts.initial)
      assert.lengthOf(first.facts.gpus, 2)
      assert.deepStrictEqual([...first.findings], [])
      assert.lengthOf(calls(), 4)
      const second = yield* detect(first.facts)
      assert.lengthOf(second.facts.gpus, 2)
      assert.lengthOf(calls(), 5)
    }))

  it.scopedLive("falls back to what every driver knows when the wrong field is not named", () =>
    Effect.gen(function*() {
      const { facts } = yield* once({
        script:
          "case $1 in *compute_cap*) echo bad argument >&2; exit 2 ;; --query-gpu*) cat $fixtures/old-driver.csv ;; esac"
      })
      assert.lengthOf(facts.gpus, 2)
      assert.deepStrictEqual(facts.fields, NvidiaSmi.oldFields)
    }))

  it.scopedLive("reports the pieces of a GPU that is cut up, asked for once a minute", () =>
    Effect.gen(function*() {
      const { calls, detect } = yield* withTool({
        script: "case $1 in --query-gpu*) cat $fixtures/mig.csv ;; -L) cat $fixtures/mig-list.txt ;; esac"
      })
      const first = yield* detect(NvidiaFacts.initial)
      assert.deepStrictEqual(first.facts.mig.map(({ instance }) => instance.profile), [
        "3g.40gb",
        "1g.10gb+me",
        "1c.3g.40gb"
      ])
      const second = yield* detect(first.facts)
      assert.lengthOf(second.facts.mig, 3)
      assert.strictEqual(calls().filter((call) => call === "-L").length, 1)
    }))

  it.scopedLive("keeps the table that comes with a corrupted infoROM, and reports it", () =>
    Effect.gen(function*() {
      const { facts, findings } = yield* once({
        script: prints("h100x8.csv", "echo 'WARNING: infoROM is corrupted at gpu 0000:3B:00.0'; exit 14")
      })
      assert.lengthOf(facts.gpus, 8)
      assert.isTrue(facts.gpus.every((gpu) => gpu.healthy))
      assert.deepStrictEqual(findings.map(({ code, severity, subject }) => [code, severity, subject]), [
        ["nvidia.inforom-corrupted", "warning", "gpu 1"]
      ])
    }))

  it.scopedLive("reports the GPU that fell off the bus, and keeps it in the list", () =>
    Effect.gen(function*() {
      for (const exit of ["exit 15", "exit 0"]) {
        const { facts, findings } = yield* once({ script: prints("lost.csv", exit) }, known("h100x8.csv"))
        const lost = facts.gpus[3]
        assert.strictEqual(lost?.model, "NVIDIA H100 80GB HBM3")
        assert.strictEqual(lost?.healthProblem, "fell off the bus")
        assert.strictEqual(lost?.memoryTotalBytes, 81_559 * MiB)
        assert.isUndefined(lost?.memoryUsedBytes)
        assert.deepInclude({ ...findings[0] }, { code: "nvidia.gpu-lost", subject: "gpu 3", severity: "error" })
        assert.isTrue(facts.gpus[0]?.healthy)
      }
    }))

  it.scopedLive("counts a GPU that was lost before the agent started", () =>
    Effect.gen(function*() {
      const { facts } = yield* once({ script: prints("lost.csv") })
      assert.deepStrictEqual(facts.gpus.map(({ healthy, index, pciAddress }) => [index, pciAddress, healthy]), [
        [0, "0000:19:00.0", true],
        [1, "0000:3b:00.0", true],
        [2, "0000:4c:00.0", true],
        [3, "0000:5d:00.0", false]
      ])
    }))

  it.scopedLive("reports GPUs that are listed but do not answer", () =>
    Effect.gen(function*() {
      const { findings } = yield* once({ script: prints("errors.csv") })
      assert.deepStrictEqual(findings.map(({ code, severity, subject }) => [code, severity, subject]), [
        ["nvidia.field-error", "error", "gpu 0"],
        ["nvidia.field-error", "warning", "gpu 1"],
        ["nvidia.gpu-lost", "error", "gpu 2"],
        ["nvidia.needs-reset", "error", "gpu 3"]
      ])
    }))

  it.scopedLive("has what to do for every exit code, and no GPU when there was none before", () =>
    Effect.gen(function*() {
      for (const code of [1, 3, 4, 6, 8, 9, 10, 12, 13, 15, 18, 255]) {
        const { facts, findings } = yield* once({ script: `exit ${code}`, files: tree("nvidia-bus") })
        assert.deepStrictEqual(facts.gpus, [], String(code))
        assert.lengthOf(findings, 1, String(code))
        assert.isAbove(findings[0]?.remedy.length ?? 0, 0, String(code))
      }
    }))

  it.scopedLive("keeps the GPUs, but none of their readings, when the driver stops working", () =>
    Effect.gen(function*() {
      const { facts, findings } = yield* once({
        script:
          "echo 'Failed to initialize NVML: Driver/library version mismatch'; echo 'NVML library version: 535.183'; exit 255",
        files: tree("nvidia-bus")
      }, known("h100x8.csv"))
      assert.lengthOf(facts.gpus, 8)
      assert.isTrue(
        facts.gpus.every((gpu) =>
          !gpu.healthy && gpu.memoryUsedBytes === undefined && gpu.memoryTotalBytes !== undefined
        )
      )
      assert.deepStrictEqual(findings.map(({ code, severity }) => [code, severity]), [[
        "nvidia.driver-mismatch",
        "error"
      ]])
      assert.include(findings[0]?.remedy, "reload the driver")
    }))

  it.scopedLive("does not make much of a tool on a machine that has no such GPU", () =>
    Effect.gen(function*() {
      const { findings, goodFor } = yield* once({ script: "exit 9" })
      assert.deepStrictEqual(findings.map(({ code, severity }) => [code, severity]), [[
        "nvidia.driver-not-loaded",
        "info"
      ]])
      assert.strictEqual(goodFor, "1 minute")
    }))

  it.scopedLive("kills a tool that hangs, and gives it more time at the next look", () =>
    Effect.gen(function*() {
      const hangs = { script: "sleep 300", deadline: "200 millis" } as const
      const first = yield* once(hangs, known("h100x8.csv"))
      assert.lengthOf(first.facts.gpus, 8)
      // A tool that needs the driver to load is slow, and says nothing about the GPUs.
      assert.isTrue(first.facts.gpus.every((gpu) => gpu.healthy && gpu.memoryUsedBytes === undefined))
      assert.deepStrictEqual(first.findings.map(({ code, severity }) => [code, severity]), [[
        "tool.timed-out",
        "warning"
      ]])
      assert.include(first.findings[0]?.message, "did not end within 0.2 s")
      assert.include(first.findings[0]?.message, "It is given 1.2 s next.")
      assert.isUndefined(first.goodFor)
      const last = yield* once(hangs, { ...known("h100x8.csv"), timeouts: 2 })
      assert.isFalse(last.facts.gpus[0]?.healthy)
      assert.deepStrictEqual(last.findings.map(({ code, severity }) => [code, severity]), [["tool.timed-out", "error"]])
      assert.include(last.findings[0]?.remedy, "persistence mode")
      assert.strictEqual(last.goodFor, "30 seconds")
    }))

  it.scopedLive("does not know of any GPU before the tool has answered, however it fails to", () =>
    Effect.gen(function*() {
      for (const timeouts of [0, 2]) {
        const { facts } = yield* once({ script: "sleep 300", deadline: "100 millis" }, {
          ...NvidiaFacts.initial,
          timeouts
        })
        assert.isFalse(facts.isKnown)
      }
      // An answer is an answer, if only that the driver does not work.
      assert.isTrue((yield* once({ script: "exit 9" })).facts.isKnown)
      assert.isTrue((yield* once({})).facts.isKnown)
    }))

  it.scopedLive("polls idle GPUs less often", () =>
    Effect.gen(function*() {
      const idle = yield* once({ script: prints("idle.csv") })
      assert.lengthOf(idle.facts.gpus, 2)
      assert.deepStrictEqual(idle.goodFor, Duration.seconds(25))
      const busy = yield* once({
        script: "case $1 in --query-gpu*) cat $fixtures/idle.csv ;; *) echo 'GPU-4a1b2c3d-0001, 7, python3, 12' ;; esac"
      })
      assert.isUndefined(busy.goodFor)
    }))

  it.scopedLive("keeps the GPUs when only the list of programs hangs", () =>
    Effect.gen(function*() {
      const { facts, findings } = yield* once({
        script: "case $1 in --query-gpu*) cat $fixtures/h100x8.csv ;; *) sleep 300 ;; esac",
        deadline: "1500 millis"
      })
      assert.lengthOf(facts.gpus.filter((gpu) => gpu.healthy), 8)
      assert.deepStrictEqual(findings.map(({ code }) => code), ["tool.timed-out"])
    }))

  it.scopedLive("keeps the whole rows of a tool that died in the middle of one", () =>
    Effect.gen(function*() {
      const { facts, findings } = yield* once({ script: prints("cut-off.csv", "kill -SEGV $$") }, known("h100x8.csv"))
      assert.lengthOf(facts.gpus, 8)
      assert.deepStrictEqual(facts.gpus.map((gpu) => gpu.healthy), [true, ...Array<boolean>(7).fill(false)])
      assert.deepStrictEqual(findings.map(({ code }) => code), ["tool.failed"])
    }))

  it.scopedLive("takes neither a flood nor 10 MB of anything for GPUs", () =>
    Effect.gen(function*() {
      const flood = yield* once({ script: "yes" })
      assert.deepStrictEqual(flood.findings.map(({ code }) => code), ["tool.excessive-output"])
      const other = yield* once({ script: "case $1 in --query-gpu*) head -c 3000000 /dev/zero | tr '\\0' x ;; esac" })
      assert.deepStrictEqual(other.findings.map(({ code }) => code), ["tool.unexpected-output"])
      assert.deepStrictEqual(other.facts.gpus, [])
      assert.isBelow(other.findings[0]?.message.length ?? 0, 300)
    }))

  it.scopedLive("says which driver is missing, by the bus, where there is no tool", () =>
    Effect.gen(function*() {
      const bare = yield* once({ files: tree("nvidia-bus") })
      assert.deepStrictEqual(bare.findings.map(({ code, severity }) => [code, severity]), [
        ["nvidia.passed-through", "info"],
        ["nvidia.tool-missing", "error"],
        ["nvidia.driver-missing", "warning"]
      ])
      assert.include(bare.findings[0]?.message, "0000:3b:00.0")
      assert.include(bare.findings[1]?.message, "0000:19:00.0")
      assert.include(bare.findings[2]?.message, "0000:4c:00.0, 0000:5d:00.0 (nouveau holds it)")
      const contained = yield* once({ files: tree("nvidia-bus"), inContainer: true })
      assert.strictEqual(contained.findings[1]?.code, "nvidia.not-in-container")
      assert.include(contained.findings[1]?.remedy, "--gpus all")
    }))

  it.scopedLive("has nothing to say on a machine without one", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* once({}), { facts: NvidiaFacts.noGpus, findings: [], goodFor: "1 minute" })
    }))

  it.scopedLive("finds the tool of WSL, which is on no PATH", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      fakeTool(
        path.join(root, "usr/lib/wsl/lib"),
        "nvidia-smi",
        `case $1 in --query-gpu*) cat ${path.join(import.meta.dirname, "../fixtures/nvidia/h100x8.csv")} ;; esac`
      )
      const reading = yield* Nvidia.detect({
        tools: yield* Tool.make({ path: "/nonexistent", env: {}, platform: "linux" }),
        bus: yield* PciBus.make(deviceFiles(root)),
        files: deviceFiles(root),
        deadline: "20 seconds",
        root,
        platform: "linux",
        env: {},
        idleGoodFor: Duration.seconds(25),
        inContainer: () => false
      })(NvidiaFacts.initial)
      assert.lengthOf(reading.facts.gpus, 8)
    }))

  it.scopedLive("knows a Jetson by its files, with nvidia-smi or without", () =>
    Effect.gen(function*() {
      for (const script of [undefined, prints("orin.csv"), "exit 9"]) {
        const { facts, findings } = yield* once({
          ...(script === undefined ? {} : { script }),
          files: tree("jetson-orin")
        })
        const [gpu, ...others] = facts.gpus
        assert.lengthOf(others, 0)
        assert.deepInclude({ ...gpu }, {
          vendor: "nvidia",
          model: "NVIDIA Jetson AGX Orin Developer Kit",
          unifiedMemory: true,
          utilizationPercent: 43.7,
          temperatureCelsius: 48.94,
          computeCapability: "8.7",
          healthy: true
        })
        assert.strictEqual(gpu?.driverVersion, script?.includes("orin") ? "540.3.0" : "36.3.0")
        if (script !== "exit 9") assert.deepStrictEqual([...findings], [])
      }
    }))
})
