import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import { Agent } from "../../src/agent/Agent.js"
import { AgentStatus, type Connection } from "../../src/agent/AgentStatus.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as GrpcOrchestrator from "../../src/orchestrator/grpc/GrpcOrchestrator.js"
import { ReconnectPolicy } from "../../src/orchestrator/Reconnect.js"
import * as LogLines from "../support/LogLines.js"
import * as Machines from "../support/Machines.js"
import * as NoDocker from "../support/NoDocker.js"
import * as Peers from "../support/Peers.js"
import * as Ports from "../support/Ports.js"
import * as Processes from "../support/Processes.js"
import * as Temporary from "../support/Temporary.js"

interface Options {
  readonly port: number
  readonly interval: string
  readonly deadline: Duration.DurationInput
}

/** An agent over real gRPC that is quick to try again. */
const startAgent = ({ deadline, interval, port }: Options) =>
  Effect.gen(function*() {
    const logs = LogLines.make()
    const context = yield* Layer.build(Agent.layer.pipe(
      Layer.provide([
        GrpcOrchestrator.layer({ address: { host: "127.0.0.1", port }, deadline }),
        Machines.scripted().layer,
        NoDocker.layer,
        Layer.succeed(ReconnectPolicy, {
          base: "10 millis",
          cap: "40 millis",
          afterRejection: "50 millis",
          resetAfter: "50 millis"
        }),
        AgentConfig.layer({
          orchestrator: `127.0.0.1:${port}`,
          "node-id": "tester",
          "agent-port": "0",
          "heartbeat-interval": interval,
          "state-dir": yield* Temporary.directory
        })
      ]),
      Layer.provide(logs.layer)
    ))
    return { status: Context.get(context, AgentStatus), logs }
  })

/** Waits until the agent stands so with its orchestrator. */
const until = (status: AgentStatus["Type"], tag: Connection["_tag"]) =>
  Stream.runHead(Stream.filter(status.changes, ({ connection }) => connection._tag === tag)).pipe(
    Effect.timeout("20 seconds"),
    Effect.orDieWith(() => new Error(`The agent never became ${tag}.`)),
    Effect.asVoid
  )

/** An orchestrator that forgets all it knew when it ends, and counts what it is asked. */
const startOrchestrator = (port: number) => {
  const counts = { registered: 0, beats: 0 }
  return Effect.as(
    Peers.orchestrator(
      {
        RegisterNode: () =>
          Effect.sync(() => {
            counts.registered++
            return {}
          }),
        UpdateNode: () => Effect.succeed({}),
        Heartbeat: ({ node_id }) =>
          Effect.suspend(() => {
            counts.beats++
            return counts.registered > 0
              ? Effect.succeed({})
              : Effect.fail(GrpcError.fail(GrpcError.Status.NOT_FOUND, `no node ${node_id}`))
          })
      },
      {},
      {},
      port,
      "20 millis"
    ),
    counts
  )
}

const eventually = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.fail("not yet" as const)).pipe(
    Effect.retry(Schedule.spaced("5 millis")),
    Effect.timeout("20 seconds"),
    Effect.orDieWith(() => new Error(`It never came: ${what}. ${process.getActiveResourcesInfo().join(" ")}`))
  )

/** What keeps the process alive, by kind: timers, sockets. Pipes and processes are the test runner's, and the child's. */
const resources = (): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo().filter((kind) => !/^(Pipe|Process|Immediate)/.test(kind))) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

/** Waits until there is no more than before. */
const nothingLeft = (before: ReadonlyMap<string, number>) =>
  eventually(
    "an end of what was left behind",
    () =>
      [...resources()].every(([kind, count]) =>
        // The wait itself has a timer.
        count <= (before.get(kind) ?? 0) + (kind === "Timeout" ? 1 : 0)
      )
  )

describe("an agent over gRPC", () => {
  it.live(
    "is registered again after each of 50 deaths of its orchestrator, and leaves nothing behind",
    () =>
      Effect.gen(function*() {
        const interval = 100
        const port = yield* Ports.free
        const before = resources()
        const fibers = yield* Supervisor.track
        yield* Effect.gen(function*() {
          const { status } = yield* startAgent({ port, interval: `${interval}ms`, deadline: "2 seconds" })
          for (let death = 0; death < 50; death++) {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 60))
            const scope = yield* Scope.make()
            const counts = yield* Scope.extend(startOrchestrator(port), scope)
            yield* eventually(`registration ${death}`, () => counts.registered > 0)
            const startedAt = performance.now()
            yield* Effect.sleep(yield* Random.nextIntBetween(0, death % 10 === 0 ? 600 : 60))
            yield* Scope.close(scope, yield* Effect.exit(Effect.void))
            // The one before the registration, the one at a random moment, and one an interval.
            assert.isAtMost(counts.beats, 2 + (performance.now() - startedAt) / interval)
            assert.isAtMost(counts.registered, 2)
          }
          const counts = yield* startOrchestrator(port)
          yield* eventually("the last registration", () => counts.registered > 0)
          yield* until(status, "Registered")
          const { beats } = counts
          const startedAt = performance.now()
          yield* eventually("ten more beats", () => counts.beats >= beats + 10)
          assert.isAtLeast(performance.now() - startedAt, 9 * interval * 0.9)
          assert.strictEqual(counts.registered, 1)
        }).pipe(Effect.scoped, Effect.withRandom(Random.make(20_26)), Effect.supervised(fibers))
        assert.lengthOf(yield* fibers.value, 0)
        yield* nothingLeft(before)
      }),
    60_000
  )

  it.scopedLive(
    "notices that its orchestrator froze within an interval and a deadline, and that it thawed",
    () =>
      Effect.gen(function*() {
        const stateDir = yield* Temporary.directory
        const orchestrator = yield* Processes.node(
          [Processes.nodeAgent, "orchestrator", "--port", "0", "--http-port", "0"],
          { env: { ...process.env, HOME: stateDir } }
        )
        const [, port] = yield* orchestrator.says(/orchestrator\s+localhost:(\d+)/)
        const before = resources()
        yield* Effect.scoped(Effect.gen(function*() {
          const { logs, status } = yield* startAgent({ port: Number(port), interval: "500ms", deadline: "1 second" })
          yield* until(status, "Registered")
          yield* orchestrator.signal("SIGSTOP")
          const frozenAt = performance.now()
          yield* until(status, "Disconnected")
          assert.isAtMost(performance.now() - frozenAt, 500 + 1_000 + 500)
          assert.lengthOf(logs.matching(/^Lost the orchestrator .*: no answer in time; /), 1)
          yield* orchestrator.signal("SIGCONT")
          yield* until(status, "Registered")
          assert.lengthOf(logs.matching(/^Reconnected to the orchestrator/), 1)
          yield* orchestrator.signal("SIGSTOP")
          yield* until(status, "Disconnected")
        }))
        // Neither does it wait for a frozen peer to end.
        yield* nothingLeft(before)
      }),
    60_000
  )

  it.scopedLive("registers when the port that spoke something else becomes an orchestrator", () =>
    Effect.gen(function*() {
      for (const peer of [Peers.garbage, Peers.closing, Peers.silent]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const other = yield* Scope.make()
          const port = yield* Scope.extend(peer, other)
          const { logs, status } = yield* startAgent({ port, interval: "500ms", deadline: "300 millis" })
          yield* until(status, "Connecting")
          yield* Scope.close(other, yield* Effect.exit(Effect.void))
          yield* startOrchestrator(port)
          yield* until(status, "Registered")
          assert.lengthOf(logs.all, 2)
        }))
      }
    }))
})
