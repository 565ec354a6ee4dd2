import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Machines from "../support/Machines.js"
import * as ScriptedOrchestrator from "../support/ScriptedOrchestrator.js"
import * as Running from "./Running.js"

const { rejected, unimplemented, unknownNode, unreachable } = ScriptedOrchestrator

/** What lies between one number and the next. */
const gaps = (times: ReadonlyArray<number>) => times.slice(1).map((time, index) => time - (times[index] ?? Number.NaN))

const connection = ({ status }: Running.Running) => Effect.map(status.get, ({ connection }) => connection)

const assertWithin = (value: number | undefined, least: number, most: number) =>
  assert.isTrue(value !== undefined && value >= least && value <= most, `${value} is not from ${least} to ${most}`)

describe("an agent that is welcome", () => {
  it.scoped("registers at once with what is known of the machine", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({ settings: { hostname: "workstation" } })
      yield* TestClock.adjust(0)
      const [call, ...others] = agent.orchestrator.calls
      assert.deepStrictEqual(others, [])
      assert.deepInclude(call, { method: "register", at: 0 })
      assert.deepInclude(call?.registration, {
        id: "tester",
        hostname: "workstation",
        agentAddress: "10.0.0.7:50052"
      })
      assert.deepStrictEqual(call?.registration?.report.capabilities, Machines.machine())
      assert.deepStrictEqual(yield* agent.status.get, {
        connection: { _tag: "Registered", since: 0 },
        lastContactAt: 0,
        engines: []
      })
    }))

  it.scoped("beats the first time at a random moment within the interval, and then every interval", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({ random: Random.fixed([0.3]) })
      yield* TestClock.adjust("1 minute")
      const expected = Array.from({ length: 12 }, (_, beat) => 1_500 + beat * 5_000)
      assert.deepStrictEqual(agent.orchestrator.times("heartbeat"), expected)
      assert.strictEqual((yield* agent.status.get).lastContactAt, expected.at(-1))
    }))

  it.scoped("spreads the first beats of a fleet over the interval", () =>
    Effect.gen(function*() {
      const firsts = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (seed) =>
        Effect.scoped(Effect.gen(function*() {
          const before = yield* TestClock.currentTimeMillis
          const agent = yield* Running.start({ random: Random.make(seed) })
          yield* TestClock.adjust("5 seconds")
          return (agent.orchestrator.times("heartbeat")[0] ?? Number.NaN) - before
        })))
      for (const first of firsts) assertWithin(first, 0, 5_000)
      assert.isAbove(Math.max(...firsts) - Math.min(...firsts), 1_000)
    }))

  it.scoped("says that it registered, and nothing of the beats", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(agent.logs.all, [{
        level: "INFO",
        at: 0,
        text: "Registered with the orchestrator at orchestrator.test:50051 as node tester (10.0.0.7:50052)"
      }])
    }))

  it.scoped("marks its log lines with its id, the orchestrator and what happened", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(agent.logs.fieldsOf(/^Registered/), {
        "node.id": "tester",
        loop: "session",
        orchestrator: "orchestrator.test:50051",
        event: "orchestrator.registered"
      })
      agent.orchestrator.heartbeat = Effect.fail(unreachable)
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(agent.logs.fieldsOf(/^Lost/), { "node.id": "tester", event: "orchestrator.lost", attempt: 1 })
    }))

  it.scoped("beats on while the hardware takes an hour to answer", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust(0)
      agent.capabilities.takes = "1 hour"
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(new Set(gaps(agent.orchestrator.times("heartbeat"))), new Set([5_000]))
      assert.lengthOf(agent.orchestrator.times("heartbeat"), 12)
    }))

  it.scoped("beats on while an update hangs", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({ prepare: ({ orchestrator }) => orchestrator.updateNode = Effect.never })
      yield* TestClock.adjust(0)
      agent.capabilities.now = Machines.machine({ memory: Machines.memory({ availableBytes: 0 }) })
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(agent.orchestrator.times("updateNode"), 1)
      assert.lengthOf(agent.orchestrator.times("heartbeat"), 12)
      // So that the agent can stop.
      agent.orchestrator.updateNode = Effect.void
    }))
})

describe("an agent without its orchestrator", () => {
  const absent: Running.Options = { prepare: ({ orchestrator }) => orchestrator.register = Effect.fail(unreachable) }

  it.scoped("tries again after 0.5 s, then twice as long each time, up to 30 s", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start(absent)
      yield* TestClock.adjust("3 minutes")
      const waits = gaps(agent.orchestrator.times("register"))
      assert.deepStrictEqual(waits.slice(0, 10), [
        500,
        1_000,
        2_000,
        4_000,
        8_000,
        16_000,
        30_000,
        30_000,
        30_000,
        30_000
      ])
    }))

  it.scoped("jitters each wait by at most a fifth either way", () =>
    Effect.gen(function*() {
      const nominal = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
      const factors = yield* Effect.forEach(["a", "b", "c", "d"], (seed) =>
        Effect.scoped(Effect.gen(function*() {
          const agent = yield* Running.start({ ...absent, random: Random.make(seed) })
          yield* TestClock.adjust("3 minutes")
          const waits = gaps(agent.orchestrator.times("register"))
          return nominal.map((wait, index) => (waits[index] ?? Number.NaN) / wait)
        })))
      for (const factor of factors.flat()) assertWithin(factor, 0.79, 1.21)
      assert.isAbove(Math.max(...factors.flat()) - Math.min(...factors.flat()), 0.2)
    }))

  it.scoped("shows what it tried and when it tries next", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start(absent)
      yield* TestClock.adjust("1600 millis")
      assert.deepStrictEqual(yield* connection(agent), {
        _tag: "Connecting",
        since: 0,
        attempts: 3,
        lastError: "the orchestrator at orchestrator.test:50051 cannot be reached: connection refused",
        nextTryAt: 3_500
      })
    }))

  it.scoped("registers when the orchestrator comes, and says how long that took", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start(absent)
      yield* TestClock.adjust("20 seconds")
      agent.orchestrator.register = Effect.void
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* connection(agent))._tag, "Registered")
      assert.deepStrictEqual(agent.logs.all, [
        {
          level: "WARN",
          at: 0,
          text: "The orchestrator at orchestrator.test:50051 cannot be reached: connection refused; retrying in 500ms"
        },
        {
          level: "INFO",
          at: 31_500,
          text:
            "Registered with the orchestrator at orchestrator.test:50051 as node tester (10.0.0.7:50052), after 32s "
            + "(6 failed attempts)"
        }
      ])
    }))

  it.scoped("logs at most once a minute that it is still not connected", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start(absent)
      yield* TestClock.adjust("10 minutes")
      const [first, ...reminders] = agent.logs.all
      assert.match(first?.text ?? "", /retrying in 500ms$/)
      assert.isAtLeast(reminders.length, 5)
      assert.match(
        reminders[0]?.text ?? "",
        /^Still not connected to the orchestrator after 1m[\ds]* and 8 attempts: .*connection refused$/
      )
      for (const gap of gaps(agent.logs.all.map(({ at }) => at))) assert.isAtLeast(gap, 60_000)
    }))

  it.scoped("asks 60 s later when it was refused, and says plainly why, once", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ orchestrator }) => orchestrator.register = Effect.fail(rejected)
      })
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf(agent.orchestrator.calls, 1)
      assert.deepStrictEqual(agent.logs.all, [{
        level: "ERROR",
        at: 0,
        text: "The orchestrator at orchestrator.test:50051 refused to register this node: not in this cluster "
          + "(PERMISSION_DENIED); retrying in 1m"
      }])
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(new Set(gaps(agent.orchestrator.times("register"))), new Set([60_000]))
      assert.lengthOf(agent.logs.all.filter(({ level }) => level === "ERROR"), 1)
    }))

  it.scoped("jitters the wait after a refusal too", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        random: Random.make("refused"),
        prepare: ({ orchestrator }) => orchestrator.register = Effect.fail(rejected)
      })
      yield* TestClock.adjust("15 minutes")
      const waits = gaps(agent.orchestrator.times("register"))
      for (const wait of waits) assertWithin(wait, 48_000, 72_000)
      assert.isAbove(new Set(waits).size, 5)
    }))
})

describe("an agent that loses its orchestrator", () => {
  const lose = (agent: Running.Running) => {
    agent.orchestrator.heartbeat = Effect.fail(unreachable)
    agent.orchestrator.register = Effect.fail(unreachable)
  }
  const find = (agent: Running.Running) => {
    agent.orchestrator.heartbeat = Effect.void
    agent.orchestrator.register = Effect.void
  }

  it.scoped("tries again inside the interval, and says once that it is gone and once that it is back", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      // Beats at 2.5 s, 7.5 s, and so on.
      yield* TestClock.adjust("60 seconds")
      lose(agent)
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(agent.orchestrator.times("heartbeat").slice(12), [62_500, 63_000, 64_000, 66_000])
      assert.deepStrictEqual(yield* connection(agent), {
        _tag: "Disconnected",
        since: 62_500,
        attempts: 4,
        lastError: unreachable.message,
        nextTryAt: 70_000
      })
      find(agent)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(agent.orchestrator.times("heartbeat").slice(16), [
        70_000,
        75_000,
        80_000,
        85_000,
        90_000,
        95_000
      ])
      assert.deepStrictEqual(yield* connection(agent), { _tag: "Registered", since: 70_000 })
      assert.deepStrictEqual(agent.logs.all.slice(1), [
        {
          level: "WARN",
          at: 62_500,
          text: "Lost the orchestrator at orchestrator.test:50051: connection refused; retrying in 500ms"
        },
        {
          level: "INFO",
          at: 70_000,
          text: "Reconnected to the orchestrator at orchestrator.test:50051 after 7.5s (4 failed attempts)"
        }
      ])
    }))

  it.scoped("starts again from the shortest wait after the connection was good for 10 s", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      lose(agent)
      yield* TestClock.adjust("4 seconds")
      find(agent)
      // Good from 66 s on.
      yield* TestClock.adjust("14 seconds")
      lose(agent)
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(agent.orchestrator.times("heartbeat").slice(-3), [76_000, 81_000, 81_500])
    }))

  it.scoped("waits on where it was when the connection was good for less than 10 s", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      lose(agent)
      yield* TestClock.adjust("3 seconds")
      find(agent)
      // Good at 64 s alone.
      yield* TestClock.adjust("2 seconds")
      lose(agent)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(agent.orchestrator.times("heartbeat").slice(12), [
        62_500,
        63_000,
        64_000,
        69_000,
        71_000,
        75_000,
        83_000
      ])
    }))

  it.scoped("registers immediately when the orchestrator no longer knows it", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("6 seconds")
      agent.orchestrator.heartbeat = Effect.fail(unknownNode)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(agent.orchestrator.calls.slice(-2).map(({ at, method }) => [method, at]), [
        ["heartbeat", 7_500],
        ["register", 7_500]
      ])
      assert.deepStrictEqual(yield* connection(agent), { _tag: "Registered", since: 0 })
      assert.lengthOf(agent.logs.matching(/no longer knew this node .*; registered again$/), 1)
    }))

  it.scoped("does not repeat itself at each beat when the orchestrator forgets it each time", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ orchestrator }) => orchestrator.heartbeat = Effect.fail(unknownNode)
      })
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(agent.orchestrator.times("register"), 61)
      assertWithin(agent.logs.matching(/no longer knew this node/).length, 2, 6)
    }))

  it.scoped("does without heartbeats when the orchestrator has none, and says so once", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ orchestrator }) =>
          orchestrator.heartbeat = Effect.fail(unimplemented("accept this node's heartbeat"))
      })
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(agent.orchestrator.times("register"), 13)
      assert.deepStrictEqual(agent.logs.all.slice(1).map(({ level, text }) => [level, text]), [[
        "WARN",
        "The orchestrator at orchestrator.test:50051 does not implement this: it cannot accept this node's heartbeat; "
        + "registering every 5s instead of sending heartbeats"
      ]])
    }))

  it.scoped("continues without updates when the orchestrator does not implement them, and logs that once", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ orchestrator }) =>
          orchestrator.updateNode = Effect.fail(unimplemented("update this node's hardware"))
      })
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(agent.orchestrator.times("updateNode").length, 10)
      assert.deepStrictEqual(agent.logs.all.slice(1).map(({ level, text }) => [level, text]), [[
        "WARN",
        "The orchestrator at orchestrator.test:50051 does not implement this: it cannot update this node's hardware; "
        + "continuing without reports"
      ]])
      assert.strictEqual((yield* connection(agent))._tag, "Registered")
    }))
})

describe("an agent whose machine slept", () => {
  const hour = 3_600_000

  it.scoped("registers again within two beats, on a new connection, and counts no failure", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      const before = agent.orchestrator.calls.length
      agent.sleep(hour)
      yield* TestClock.adjust("10 seconds")
      const calls = agent.orchestrator.calls.slice(before).filter(({ method }) => method !== "updateNode")
      assert.deepStrictEqual(calls.map(({ at, method }) => [method, at - hour]), [
        ["reconnect", 62_500],
        ["register", 62_500],
        ["heartbeat", 67_500]
      ])
      assert.strictEqual(agent.capabilities.forgotten, 1)
      assert.deepStrictEqual(yield* connection(agent), { _tag: "Registered", since: 0 })
      assert.deepStrictEqual(agent.logs.all.slice(1).map(({ text }) => text), [
        "This machine slept, or its clock was set forward, by 1h; registering again"
      ])
    }))

  it.scoped("registers again when its clock was set back, and keeps its interval", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      const before = agent.orchestrator.calls.length
      agent.sleep(-hour)
      yield* TestClock.adjust("10 seconds")
      const calls = agent.orchestrator.calls.slice(before).filter(({ method }) => method !== "updateNode")
      assert.deepStrictEqual(calls.map(({ at, method }) => [method, at + hour]), [
        ["reconnect", 62_500],
        ["register", 62_500],
        ["heartbeat", 67_500]
      ])
      assert.strictEqual(agent.capabilities.forgotten, 1)
      assert.deepStrictEqual(agent.logs.all.slice(1).map(({ text }) => text), [
        "This machine's clock was set back by 1h; registering again"
      ])
    }))

  it.scoped("keeps logging an outage when its clock was set back meanwhile", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ orchestrator }) => orchestrator.register = Effect.fail(unreachable)
      })
      yield* TestClock.adjust("90 seconds")
      agent.sleep(-hour)
      const before = agent.logs.all.length
      yield* TestClock.adjust("5 minutes")
      assertWithin(agent.logs.all.length - before, 4, 5)
    }))

  it.scoped("notices a sleep before its first beat", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("1 second")
      agent.sleep(hour)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(agent.orchestrator.calls.map(({ method }) => method).slice(0, 3), [
        "register",
        "reconnect",
        "register"
      ])
    }))

  it.scoped("does not take a beat that was slow for a sleep", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      agent.orchestrator.heartbeat = Effect.delay(Effect.void, "20 seconds")
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(agent.orchestrator.times("reconnect"), 0)
      assert.lengthOf(agent.orchestrator.times("register"), 1)
    }))
})

describe("an agent that stops", () => {
  it.scoped("shows that it is stopping, and sends no more requests to the orchestrator", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      const seen = yield* Ref.make<ReadonlyArray<string>>([])
      const watching = yield* Effect.fork(
        Stream.runForEach(agent.status.changes, ({ connection }) =>
          Ref.update(seen, (tags) => [...tags, connection._tag]))
      )
      yield* TestClock.adjust("60 seconds")
      yield* agent.stop
      const calls = agent.orchestrator.calls.length
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(agent.orchestrator.calls, calls)
      assert.strictEqual((yield* connection(agent))._tag, "Stopping")
      yield* Fiber.interrupt(watching)
      assert.strictEqual((yield* Ref.get(seen)).at(-1), "Stopping")
    }))

  it.scoped("cancels the beat and the update that are in flight", () =>
    Effect.gen(function*() {
      const cancelled: Array<string> = []
      const hanging = (name: string) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => cancelled.push(name)))
      const agent = yield* Running.start()
      yield* TestClock.adjust(0)
      agent.orchestrator.heartbeat = hanging("heartbeat")
      agent.orchestrator.updateNode = hanging("update")
      agent.capabilities.now = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
      yield* TestClock.adjust("1 minute")
      const stopping = yield* Effect.fork(agent.stop)
      // The last report is given a second.
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual([...new Set(cancelled)].sort(), ["heartbeat", "update"])
      assert.strictEqual((yield* connection(agent))._tag, "Stopping")
    }))

  it.scoped("stops while it waits to try again", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        prepare: ({ orchestrator }) => orchestrator.register = Effect.fail(unreachable)
      })
      yield* TestClock.adjust(Duration.seconds(20))
      yield* agent.stop
      assert.strictEqual((yield* connection(agent))._tag, "Stopping")
    }))
})

describe("the last report of an agent", () => {
  it.scoped("says that the node leaves, after its last heartbeat", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      yield* agent.stop
      const last = agent.orchestrator.calls.at(-1)
      assert.strictEqual(last?.method, "updateNode")
      assert.isTrue(last?.report?.leaving)
    }))

  it.scoped("is not sent to an orchestrator that is away", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start()
      yield* TestClock.adjust("60 seconds")
      agent.orchestrator.heartbeat = Effect.fail(unreachable)
      yield* TestClock.adjust("20 seconds")
      const calls = agent.orchestrator.times("updateNode").length
      yield* agent.stop
      assert.lengthOf(agent.orchestrator.times("updateNode"), calls)
    }))
})

describe("a loop of an agent", () => {
  /** Dies once the agent is up. */
  const cases: ReadonlyArray<readonly [part: string, how: (agent: Running.Running) => void]> = [
    ["heartbeat", (agent) => agent.orchestrator.heartbeat = Effect.die(new Error("no such heartbeat"))],
    ["report", (agent) => agent.orchestrator.updateNode = Effect.die(new Error("no such report"))]
  ]
  for (const [part, kill] of cases) {
    it.scoped(`ends the agent with its defect, which is logged, when its ${part} part dies`, () =>
      Effect.gen(function*() {
        const running = yield* Running.start()
        const owner = yield* Effect.fork(running.agent.join)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.poll(owner))._tag, "None")
        kill(running)
        running.capabilities.now = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
        yield* TestClock.adjust("20 seconds")
        const exit = yield* Fiber.await(owner)
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
        assert.lengthOf(running.logs.matching(/^The session loop died$/), 1)
      }))
  }
})
