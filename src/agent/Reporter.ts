/** What the orchestrator is told of this node, and when. */
import { randomUUID } from "node:crypto"
import * as os from "node:os"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Capabilities } from "../capabilities/Capabilities.js"
import { type Finding, NodeCapabilities } from "../node/NodeCapabilities.js"
import { AgentConfig } from "./AgentConfig.js"
import { Engines } from "../engine/Engine.js"
import { InferenceRouter } from "../inference/InferenceRouter.js"
import { NodeAgentServer } from "../inference/NodeAgentServer.js"
import type { EngineReport, NodeReport } from "../node/Node.js"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import { NodeIdentity } from "../state/NodeIdentity.js"
import { version } from "../Version.js"
import * as AgentAddress from "./AgentAddress.js"
import { NodeEngines } from "./NodeEngines.js"
import * as EngineStats from "./EngineStats.js"
import * as FindingsLog from "./FindingsLog.js"
import * as NodeLabel from "./NodeLabel.js"
import * as ReportChange from "./ReportChange.js"

/** The orchestrator hears of this node's hardware at least this often. */
const maxSilence = Duration.minutes(1)

/** An engine that changes its state is reported at once, so that requests find it; but not more often than this. */
const engineReportSpacing = Duration.seconds(1)

/** How long a look waits for probes before it reports what is known: facts of fast probes are in the first report. */
const fastProbes = Duration.millis(300)

/** What the orchestrator was told. */
interface Told {
  readonly report: NodeReport
  readonly agentAddress: string
}

/** The last report that the orchestrator took, and when: milliseconds since 1970. */
interface Reported extends Told {
  readonly at: number
}

/** The findings of the engines belong to what is known of the machine. */
const withFindings = (known: NodeCapabilities, findings: ReadonlyArray<Finding>): NodeCapabilities =>
  findings.length === 0 ? known : new NodeCapabilities({ ...known, findings: [...known.findings, ...findings] })

/** What of engines is worth a report of its own. */
const statesOf = (engines: ReadonlyArray<EngineReport>) =>
  engines.map(({ models, name, state }) => [name, state, ...models].join(" ")).join("\n")

export class Reporter extends Context.Tag("@orchion/node-agent/Reporter")<
  Reporter,
  {
    readonly nodeId: string
    /** Of this process: an orchestrator notices two agents with one node id by it. */
    readonly instanceId: string
    /** `as node 3f… (10.0.0.7:50052)`. */
    readonly description: Effect.Effect<string>
    /** Registers with what is known now, waiting for no probe; the first time before any probe has begun. */
    readonly register: Effect.Effect<void, OrchestratorError>
    /**
     * Looks at once and then every `interval`, and reports what a person would notice ({@link ReportChange.isNoticeable}).
     * What could not be reported is compared again, and so reported, at the next look; why it could not is for the heartbeat
     * to find out and say.
     */
    readonly run: (interval: Duration.Duration) => Effect.Effect<never>
    /** The last report: this node leaves. Nothing where it never registered. */
    readonly farewell: Effect.Effect<void>
  }
>() {}

/** The reports as they are made and sent. */
const makeSender = Effect.gen(function*() {
  const config = yield* AgentConfig
  const nodeEngines = yield* NodeEngines
  const engines = yield* Engines
  const identity = yield* NodeIdentity
  const orchestrator = yield* Orchestrator
  const router = yield* InferenceRouter
  const server = yield* NodeAgentServer
  const hostname = Option.getOrElse(config.hostname, () => os.hostname())
  const instanceId = randomUUID()
  const labels = NodeLabel.toRecord(config.labels)
  const reported = yield* Ref.make(Option.none<Reported>())

  const remember = (told: Told) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => Ref.set(reported, Option.some({ ...told, at })))
  return {
    instanceId,
    reported: Ref.get(reported),
    engineReports: () => EngineStats.added(engines.reports(), router),
    tell: Effect.fn("Reporter.tell")(function*(known: NodeCapabilities): Effect.fn.Return<Told> {
      return {
        report: {
          capabilities: withFindings(known, nodeEngines.findings()),
          agentVersion: version,
          labels,
          engines: EngineStats.added(engines.reports(), router)
        },
        agentAddress: yield* AgentAddress.find({
          advertised: config.advertiseAddress,
          orchestrator: config.orchestrator,
          port: server.port
        })
      }
    }),
    register: Effect.fn("Reporter.register")(function*(told: Told) {
      yield* orchestrator.register({ id: identity.nodeId, hostname, instanceId, ...told })
      yield* remember(told)
    }),
    update: Effect.fn("Reporter.update")(function*(told: Told) {
      yield* orchestrator.updateNode(identity.nodeId, told.report)
      yield* remember(told)
    })
  }
})

/** Reports what is known of the machine where it is worth it; says once why a report is refused. */
const makeCompare = Effect.fnUntraced(function*(
  sender: Effect.Effect.Success<typeof makeSender>,
  interval: Duration.Duration
) {
  const refused = yield* Ref.make(Option.none<string>())
  const once = (line: string) =>
    Effect.flatMap(
      Ref.getAndSet(refused, Option.some(line)),
      (before) => Option.contains(before, line) ? Effect.void : Effect.logWarning(line)
    ).pipe(Effect.annotateLogs("event", "report.refused"))

  const compare = Effect.fnUntraced(function*(known: NodeCapabilities) {
    const before = yield* sender.reported
    if (Option.isNone(before)) return
    const now = yield* sender.tell(known)
    if (now.agentAddress !== before.value.agentAddress) {
      yield* sender.register(now)
      return yield* Effect.logWarning(
        `The address of this node changed from ${before.value.agentAddress} to ${now.agentAddress}: registered again. `
          + "An orchestrator that keeps using the old one needs a name that stays: start the agent with "
          + "--advertise-address HOSTNAME"
      ).pipe(Effect.annotateLogs("event", "address.changed"))
    }
    // By the next look it would be too late.
    const silenceByThen = (yield* Clock.currentTimeMillis) - before.value.at + Duration.toMillis(interval)
    if (
      silenceByThen <= Duration.toMillis(maxSilence) && !ReportChange.isNoticeable(before.value.report, now.report)
    ) return
    yield* sender.update(now)
    yield* Ref.set(refused, Option.none())
  })
  const unreported = (error: { readonly message: string }) =>
    Effect.annotateLogs(Effect.logDebug(`Not reported: ${error.message}`), "event", "report.failed")

  return (known: NodeCapabilities) =>
    compare(known).pipe(
      Effect.catchTags({
        OrchestratorUnreachable: unreported,
        UnknownNode: unreported,
        OrchestratorUnimplemented: (error) => once(`${error.message}: doing without`),
        OrchestratorRejected: (error) => once(error.message)
      })
    )
})

const make = Effect.gen(function*() {
  const capabilities = yield* Capabilities
  const engines = yield* Engines
  const { nodeId } = yield* NodeIdentity
  const sender = yield* makeSender
  const findings = yield* FindingsLog.make
  const isFirst = yield* Ref.make(true)
  // One report at a time, whatever asks for it.
  const oneAtATime = (yield* Effect.makeSemaphore(1)).withPermits(1)

  const run = Effect.fn("Reporter.run")(function*(interval: Duration.Duration) {
    const report = yield* makeCompare(sender, interval)
    const look = Effect.gen(function*() {
      const startedAt = yield* Clock.currentTimeMillis
      const fast = yield* capabilities.readWithin(fastProbes)
      yield* findings.update(fast.findings)
      yield* oneAtATime(report(fast))
      if ((yield* Clock.currentTimeMillis) - startedAt < Duration.toMillis(fastProbes)) return
      const all = yield* capabilities.readAll
      yield* findings.update(all.findings)
      yield* oneAtATime(report(all))
    })
    const onEngineChange = engines.changes.pipe(
      Stream.map(statesOf),
      Stream.changes,
      Stream.drop(1),
      Stream.buffer({ capacity: 1, strategy: "sliding" }),
      Stream.runForEach(() =>
        oneAtATime(Effect.flatMap(capabilities.read, report)).pipe(Effect.zipRight(Effect.sleep(engineReportSpacing)))
      )
    )
    return yield* Effect.all([onEngineChange, Effect.repeat(look, Schedule.spaced(interval))], {
      concurrency: 2,
      discard: true
    }).pipe(Effect.zipRight(Effect.never))
  })

  return Reporter.of({
    nodeId,
    instanceId: sender.instanceId,
    description: Effect.map(
      sender.reported,
      Option.match({
        onNone: () => `as node ${nodeId}`,
        onSome: ({ agentAddress }) => `as node ${nodeId} (${agentAddress})`
      })
    ),
    register: Effect.gen(function*() {
      const known = yield* ((yield* Ref.getAndSet(isFirst, false)) ? capabilities.current : capabilities.read)
      yield* sender.register(yield* sender.tell(known))
    }),
    run,
    farewell: Effect.gen(function*() {
      const before = yield* sender.reported
      if (Option.isNone(before)) return
      // What the hardware is like is of no more interest, and may take long to find out.
      yield* sender.update({
        ...before.value,
        report: { ...before.value.report, engines: sender.engineReports(), leaving: true }
      })
    }).pipe(
      Effect.interruptible,
      Effect.timeout("1 second"),
      // The agent stops; whatever this was has been said before, or does not matter any more.
      Effect.catchAllCause((cause) => Effect.logDebug("The last report was not taken", cause))
    )
  })
})

export const layer: Layer.Layer<
  Reporter,
  never,
  | AgentConfig
  | Capabilities
  | NodeEngines
  | Engines
  | InferenceRouter
  | NodeAgentServer
  | NodeIdentity
  | Orchestrator
> = Layer.effect(Reporter, make)
