/** An agent that runs on a scripted orchestrator and scripted capabilities, by the test's clock. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { Agent } from "../../src/agent/Agent.js"
import * as AgentAddress from "../../src/agent/AgentAddress.js"
import { AgentStatus } from "../../src/agent/AgentStatus.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as Source from "../../src/config/Source.js"
import * as LogLines from "../support/LogLines.js"
import * as Machines from "../support/Machines.js"
import * as NoDocker from "../support/NoDocker.js"
import * as ScriptedOrchestrator from "../support/ScriptedOrchestrator.js"
import * as Temporary from "../support/Temporary.js"

export interface Running {
  readonly agent: Agent["Type"]
  readonly orchestrator: ScriptedOrchestrator.ScriptedOrchestrator
  readonly capabilities: Machines.ScriptedCapabilities
  readonly status: AgentStatus["Type"]
  readonly logs: LogLines.LogLines
  /** The machine sleeps: the time of day goes on, and timers do not. */
  readonly sleep: (millis: number) => void
  readonly stop: Effect.Effect<void>
}

export interface Script {
  readonly orchestrator: ScriptedOrchestrator.ScriptedOrchestrator
  readonly capabilities: Machines.ScriptedCapabilities
}

/** What is drawn where the agent leaves something to chance: 0 to 1; 0.5 is in the middle of every jitter. */
export interface Options {
  readonly random?: Random.Random
  readonly settings?: Readonly<Record<string, string>>
  /** The address of this machine that the orchestrator sees, in place of the advertised one. */
  readonly route?: Effect.Effect<string, Error>
  /** Settings that come first. */
  readonly sources?: ReadonlyArray<Source.Source>
  /** Before the agent starts. */
  readonly prepare?: (script: Script) => void
}

export const start = (options: Options = {}) =>
  Effect.gen(function*() {
    const orchestrator = ScriptedOrchestrator.make()
    const capabilities = Machines.scripted()
    const logs = LogLines.make()
    options.prepare?.({ orchestrator, capabilities })
    const stateDir = yield* Temporary.directory
    const clock = yield* Effect.clock
    let slept = 0
    const wallClock: Clock.Clock = {
      ...clock,
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      sleep: (duration) => clock.sleep(duration),
      currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + slept),
      currentTimeNanos: clock.currentTimeNanos,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + slept,
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos()
    }
    const scope = yield* Scope.fork(yield* Effect.scope, { _tag: "Sequential" })
    const context = yield* Agent.layer.pipe(
      Layer.provide([
        orchestrator.layer,
        capabilities.layer,
        NoDocker.layer,
        Layer.effect(
          AgentConfig.AgentConfig,
          AgentConfig.fromSources([
            ...(options.sources ?? []),
            Source.program({
              "node-id": "tester",
              "agent-port": "0",
              ...(options.route === undefined ? { "advertise-address": "10.0.0.7:50052" } : {}),
              "heartbeat-interval": "5s",
              "capability-interval": "10s",
              "state-dir": stateDir,
              ...options.settings
            })
          ])
        )
      ]),
      Layer.provide(logs.layer),
      Layer.provide(
        options.route === undefined
          ? Layer.empty
          : Layer.succeed(AgentAddress.Route, () => options.route ?? Effect.never)
      ),
      Layer.buildWithScope(scope),
      Effect.withRandom(options.random ?? Random.fixed([0.5])),
      Effect.withClock(wallClock)
    )
    const running: Running = {
      agent: Context.get(context, Agent),
      orchestrator,
      capabilities,
      logs,
      status: Context.get(context, AgentStatus),
      sleep: (millis) => {
        slept += millis
      },
      stop: Scope.close(scope, Exit.void)
    }
    return running
  })
