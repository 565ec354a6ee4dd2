import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { AgentStatus, Connection } from "../../src/agent/AgentStatus.js"
import { Registration, type Reported } from "../../src/agent/Registration.js"
import * as ReportChange from "../../src/agent/ReportChange.js"
import * as Telemetry from "../../src/agent/Telemetry.js"
import { GpuProcess, type NodeCapabilities, OsInfo } from "../../src/node/NodeCapabilities.js"
import type { NodeReport } from "../../src/node/Node.js"
import type { OrchestratorError } from "../../src/orchestrator/Orchestrator.js"
import * as LogLines from "../support/LogLines.js"
import * as Machines from "../support/Machines.js"
import * as ScriptedOrchestrator from "../support/ScriptedOrchestrator.js"

const { gib } = Machines

/** Telemetry on a registration that remembers when it was asked for what. */
const start = Effect.gen(function*() {
  let reported: Reported | undefined
  const node = {
    calls: new Array<readonly [what: "register" | "update", at: number]>(),
    capabilities: Machines.machine(),
    agentAddress: "10.0.0.7:50052",
    answer: Effect.void as Effect.Effect<void, OrchestratorError>,
    logs: LogLines.make()
  }
  const tell = (what: "register" | "update") =>
    Effect.gen(function*() {
      const at = yield* Clock.currentTimeMillis
      node.calls.push([what, at])
      yield* node.answer
      reported = { report: Machines.report(node.capabilities), agentAddress: node.agentAddress, at }
    })
  const registration = Layer.succeed(Registration, {
    nodeId: "tester",
    description: Effect.succeed("as node tester"),
    latest: Effect.sync(() => ({ report: Machines.report(node.capabilities), agentAddress: node.agentAddress })),
    reported: Effect.sync(() => Option.fromNullable(reported)),
    register: tell("register"),
    update: () => tell("update")
  })
  yield* Effect.forkScoped(
    Effect.gen(function*() {
      const status = yield* AgentStatus
      yield* Effect.sleep("3 seconds")
      yield* tell("register")
      yield* status.update((state) => ({ ...state, connection: Connection.Registered({ since: 3_000 }) }))
    }).pipe(
      Effect.zipLeft(Effect.never),
      Effect.raceFirst(Telemetry.run(Duration.seconds(10))),
      Effect.provide([registration, AgentStatus.layer, node.logs.layer])
    )
  )
  return node
})

describe("telemetry", () => {
  it.scoped("is silent while nothing changes, but for once a minute", () =>
    Effect.gen(function*() {
      const node = yield* start
      yield* TestClock.adjust("5 minutes")
      const times = node.calls.map(([, at]) => at)
      assert.strictEqual(times[0], 3_000)
      for (const [index, time] of times.slice(1).entries()) {
        const gap = time - (times[index] ?? Number.NaN)
        assert.isAtMost(gap, 60_000)
        assert.isAtLeast(gap, 50_000)
      }
      assert.isAtLeast(times.length, 5)
    }))

  it.scoped("reports a change at the next look, and no more than once an interval", () =>
    Effect.gen(function*() {
      const node = yield* start
      yield* TestClock.adjust("12 seconds")
      for (let round = 0; round < 30; round++) {
        node.capabilities = Machines.machine({ memory: Machines.memory({ availableBytes: (round % 2) * 50 * gib }) })
        yield* TestClock.adjust("1 second")
      }
      // 30 changes from 12 s to 42 s, and three looks.
      const times = node.calls.slice(1).map(([, at]) => at)
      assert.isAtMost(times.length, 3)
      assert.deepStrictEqual(times.map((time) => time % 10_000), times.map(() => 0))
    }))

  it.scoped("reports again what could not be reported, without a word in the log", () =>
    Effect.gen(function*() {
      const node = yield* start
      yield* TestClock.adjust("5 seconds")
      node.answer = Effect.fail(ScriptedOrchestrator.unreachable)
      node.capabilities = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
      yield* TestClock.adjust("20 seconds")
      node.answer = Effect.void
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(node.calls, [["register", 3_000], ["update", 10_000], ["update", 20_000], [
        "update",
        30_000
      ]])
      assert.deepStrictEqual(node.logs.all, [])
    }))

  it.scoped("says once why a report is refused", () =>
    Effect.gen(function*() {
      const node = yield* start
      yield* TestClock.adjust("5 seconds")
      node.answer = Effect.fail(ScriptedOrchestrator.rejected)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(node.logs.all.map(({ level, text }) => [level, text]), [
        ["WARN", ScriptedOrchestrator.rejected.message]
      ])
    }))

  it.scoped("registers again when the agent is reached at another address", () =>
    Effect.gen(function*() {
      const node = yield* start
      yield* TestClock.adjust("15 seconds")
      node.agentAddress = "192.168.1.9:50052"
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(node.calls, [["register", 3_000], ["register", 20_000]])
      assert.deepStrictEqual(node.logs.all.map(({ text }) => text), [
        "This node is now reached at 192.168.1.9:50052: registered again"
      ])
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

  it("is another program on a GPU, and a GPU that fell ill, came or went", () => {
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

  it("is a figure that became known or unknown, however small", () => {
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
