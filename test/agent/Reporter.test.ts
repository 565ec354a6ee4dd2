import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as ReportChange from "../../src/agent/ReportChange.js"
import { GpuProcess, type NodeCapabilities, OsInfo } from "../../src/node/NodeCapabilities.js"
import type { NodeReport } from "../../src/node/Node.js"
import { capitalized } from "../../src/text/Printable.js"
import * as Machines from "../support/Machines.js"
import * as ScriptedOrchestrator from "../support/ScriptedOrchestrator.js"
import * as Running from "./Running.js"

const { gib } = Machines

/** What the orchestrator was told, heartbeats left out. */
const told = (agent: Running.Running) =>
  agent.orchestrator.calls.flatMap(({ at, method }) =>
    method === "register" || method === "updateNode" ? [[method, at]] : []
  )

describe("reports", () => {
  it.scoped("are not sent while nothing changes, but for once a minute", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("5 minutes")
      const times = told(agent).map(([, at]) => Number(at))
      assert.strictEqual(times[0], 0)
      for (const [index, time] of times.slice(1).entries()) {
        const gap = time - (times[index] ?? Number.NaN)
        assert.isAtMost(gap, 60_000)
        assert.isAtLeast(gap, 50_000)
      }
      assert.isAtLeast(times.length, 5)
    }))

  it.scoped("begin right after the registration, with what fast probes found", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ capabilities }) => {
          capabilities.current = Machines.machine()
          capabilities.now = Machines.machine({ gpus: [Machines.gpu()] })
          capabilities.takes = "50 millis"
        }
      })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told(agent), [["register", 0], ["updateNode", 50]])
      const [registered, updated] = agent.orchestrator.calls
      assert.deepStrictEqual(registered?.registration?.report.capabilities.gpus, [])
      assert.lengthOf(updated?.report?.capabilities.gpus ?? [], 1)
    }))

  it.scoped("say within 300 ms what is known, and the rest when slow probes have ended", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ capabilities }) => {
          capabilities.current = Machines.machine()
          capabilities.now = Machines.machine({ gpus: [Machines.gpu()] })
          capabilities.takes = "4 seconds"
        }
      })
      yield* TestClock.adjust("100 millis")
      agent.capabilities.current = Machines.machine({ disks: [Machines.disk(Machines.gib)] })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(told(agent), [["register", 0], ["updateNode", 300], ["updateNode", 4_300]])
    }))

  it.scoped("are sent at the next look after a change, and no more than once an interval", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("12 seconds")
      for (let round = 0; round < 30; round++) {
        agent.capabilities.now = Machines.machine({
          memory: Machines.memory({ availableBytes: (round % 2) * 50 * gib })
        })
        yield* TestClock.adjust("1 second")
      }
      // 30 changes from 12 s to 42 s, and three looks.
      const times = told(agent).slice(1).map(([, at]) => Number(at))
      assert.isAtMost(times.length, 3)
      assert.deepStrictEqual(times.map((time) => time % 10_000), times.map(() => 0))
    }))

  it.scoped("that failed are sent at the next look, and the log does not mention it", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("5 seconds")
      agent.orchestrator.updateNode = Effect.fail(ScriptedOrchestrator.unreachable)
      agent.capabilities.now = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
      yield* TestClock.adjust("20 seconds")
      agent.orchestrator.updateNode = Effect.void
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told(agent), [["register", 0], ["updateNode", 10_000], ["updateNode", 20_000], [
        "updateNode",
        30_000
      ]])
      assert.deepStrictEqual(agent.logs.matching(/report|reached/i), [])
    }))

  it.scoped("that are refused are explained once", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("5 seconds")
      agent.orchestrator.updateNode = Effect.fail(ScriptedOrchestrator.rejected)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(agent.logs.all.slice(1).map(({ level, text }) => [level, text]), [
        ["WARN", capitalized(ScriptedOrchestrator.rejected.message)]
      ])
    }))

  it.scoped("give way to a registration when the agent's address changes, with a warning that names the way out", () =>
    Effect.gen(function*() {
      let host = "10.0.0.7"
      const agent = yield* Running.start({ route: Effect.sync(() => host) })
      yield* TestClock.adjust("15 seconds")
      host = "192.168.1.9"
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told(agent), [["register", 0], ["register", 20_000]])
      const [warning] = agent.logs.all.slice(1)
      assert.strictEqual(warning?.level, "WARN")
      assert.match(
        warning?.text ?? "",
        /^The address of this node changed from 10\.0\.0\.7:\d+ to 192\.168\.1\.9:\d+: registered again\. .* --advertise-address HOSTNAME$/
      )
    }))
})

describe("findings", () => {
  it.scoped("are logged when they appear and when they are gone, and not in between", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("5 seconds")
      agent.capabilities.now = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
      yield* TestClock.adjust("30 seconds")
      agent.capabilities.now = Machines.machine()
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(agent.logs.all.slice(1).map(({ at, level, text }) => [at, level, text]), [
        [10_000, "WARN", "It runs hot. Clean its fans."],
        [40_000, "INFO", "Resolved: It runs hot."]
      ])
    }))

  it.scoped("that flap are logged no more than every 10 minutes", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      for (let round = 0; round < 120; round++) {
        agent.capabilities.now = Machines.machine(round % 2 === 0 ? { findings: [Machines.finding("gpu.hot")] } : {})
        yield* TestClock.adjust("10 seconds")
      }
      assert.isAtMost(agent.logs.matching(/runs hot/).length, 6)
    }))
})

describe("what a person would notice", () => {
  const noticed = (before: NodeCapabilities, after: NodeCapabilities) =>
    ReportChange.isNoticeable(Machines.report(before), Machines.report(after))
  const withMemory = (availableBytes: number) => Machines.machine({ memory: Machines.memory({ availableBytes }) })
  const withGpu = (more: Parameters<typeof Machines.gpu>[0]) => Machines.machine({ gpus: [Machines.gpu(more)] })

  it("is one percent of the memory", () => {
    assert.isFalse(noticed(withMemory(50 * gib), withMemory(Math.round(50.9 * gib))))
    assert.isTrue(noticed(withMemory(50 * gib), withMemory(51 * gib)))
    assert.isTrue(noticed(withMemory(50 * gib), withMemory(49 * gib)))
  })

  it("is one percent of a disk", () => {
    const withDisk = (freeBytes: number) => Machines.machine({ disks: [Machines.disk(freeBytes)] })
    assert.isFalse(noticed(withDisk(50 * gib), withDisk(Math.round(50.9 * gib))))
    assert.isTrue(noticed(withDisk(50 * gib), withDisk(51 * gib)))
  })

  it("is two degrees, five watts, five points of load, and one percent of the memory of a GPU", () => {
    const at = { temperatureCelsius: 40, powerDrawWatts: 100, utilizationPercent: 50, memoryUsedBytes: 20 * gib }
    const less = { temperatureCelsius: 41, powerDrawWatts: 104, utilizationPercent: 54, memoryUsedBytes: 21 * gib }
    assert.isFalse(noticed(withGpu(at), withGpu(less)))
    assert.isTrue(noticed(withGpu(at), withGpu({ ...at, temperatureCelsius: 42 })))
    assert.isTrue(noticed(withGpu(at), withGpu({ ...at, powerDrawWatts: 105 })))
    assert.isTrue(noticed(withGpu(at), withGpu({ ...at, utilizationPercent: 45 })))
    assert.isTrue(noticed(withGpu(at), withGpu({ ...at, memoryUsedBytes: 22 * gib })))
  })

  it("is another program on a GPU, and a GPU that became unhealthy, came or went", () => {
    assert.isTrue(noticed(withGpu({}), withGpu({ foreignProcesses: [new GpuProcess({ pid: 7, name: "python3" })] })))
    assert.isTrue(noticed(withGpu({}), withGpu({ healthy: false, healthProblem: "It fell off the bus." })))
    assert.isTrue(noticed(withGpu({}), Machines.machine()))
    assert.isTrue(noticed(Machines.machine(), withGpu({})))
  })

  it("is a finding that came or went", () => {
    const found = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
    assert.isTrue(noticed(Machines.machine(), found))
    assert.isTrue(noticed(found, Machines.machine()))
    assert.isFalse(noticed(found, Machines.machine({ findings: [Machines.finding("gpu.hot")] })))
  })

  it("is a value that became known or unknown, however small", () => {
    const known = Machines.machine({ memory: Machines.memory({ swapFreeBytes: 1 }) })
    assert.isTrue(noticed(Machines.machine(), known))
    assert.isTrue(noticed(known, Machines.machine()))
  })

  it("is not the time that the machine has been up", () => {
    const up = (uptimeSeconds: number) =>
      Machines.machine({ os: new OsInfo({ ...Machines.machine().os, uptimeSeconds }) })
    assert.isFalse(noticed(up(60), up(6_000)))
  })

  it("is an engine's state, a label and the agent's version", () => {
    const before: NodeReport = Machines.report()
    const engine = { name: "vllm", state: "loading", models: [], detail: "", restarts: 0 } as const
    assert.isTrue(ReportChange.isNoticeable(before, { ...before, engines: [engine] }))
    assert.isTrue(ReportChange.isNoticeable({ ...before, engines: [engine] }, {
      ...before,
      engines: [{ ...engine, state: "ready" }]
    }))
    assert.isTrue(ReportChange.isNoticeable(before, { ...before, labels: { zone: "a" } }))
    assert.isTrue(ReportChange.isNoticeable(before, { ...before, agentVersion: "0.2.0" }))
    assert.isFalse(ReportChange.isNoticeable(before, { ...before }))
  })
})
