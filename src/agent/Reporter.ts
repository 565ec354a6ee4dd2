/** What this node reports to the orchestrator, and when. */
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
import { capitalized } from "../text/Printable.js"
import { version } from "../Version.js"
import * as AgentAddress from "./AgentAddress.js"
import { NodeEngines } from "./NodeEngines.js"
import * as EngineStats from "./EngineStats.js"
import * as FindingsLog from "./FindingsLog.js"
import * as NodeLabel from "./NodeLabel.js"
import * as ReportChange from "./ReportChange.js"

/** The hardware is reported at least this often. */
const maxSilence = Duration.minutes(1)

/** A change of an engine's state is reported immediately, so that requests find it, but no more often than this. */
const engineReportSpacing = Duration.seconds(1)

/** How long a poll waits for probes before it reports what is known; fast probes make it into the first report. */
const fastProbes = Duration.millis(300)

/** What is sent to the orchestrator. */
interface OutgoingReport {
  readonly report: NodeReport
  readonly agentAddress: string
}

/** The last report that the orchestrator accepted, and when: milliseconds since 1970. */
interface Reported extends OutgoingReport {
  readonly at: number
}

/** The engines' findings are reported with the machine's. */
const withFindings = (known: NodeCapabilities, findings: ReadonlyArray<Finding>): NodeCapabilities =>
  findings.length === 0 ? known : new NodeCapabilities({ ...known, findings: [...known.findings, ...findings] })

/** The part of the engines' state whose change is reported immediately. */
const statesOf = (engines: ReadonlyArray<EngineReport>) =>
  engines.map(({ models, name, state }) => [name, state, ...models].join(" ")).join("\n")

export class Reporter extends Context.Tag("@orchion/node-agent/Reporter")<
  Reporter,
  {
    readonly nodeId: string
    /** Identifies this process, so that an orchestrator notices two agents with the same node id. */
    readonly instanceId: string
    /** `as node 3f… (10.0.0.7:50052)`. */
    readonly description: Effect.Effect<string>
    /** Registers with what is known now, without waiting for a probe; the first time before any probe has started. */
    readonly register: Effect.Effect<void, OrchestratorError>
    /**
     * Polls immediately and then every `interval`, and reports what a person would notice ({@link
     * ReportChange.isNoticeable}). A report that failed is retried by the next poll, which compares with the last
     * accepted one; logging an outage is the heartbeat's job.
     */
    readonly run: (interval: Duration.Duration) => Effect.Effect<never>
    /** Sends the last report, which says that this node leaves. Does nothing if it never registered. */
    readonly farewell: Effect.Effect<void>
  }
>() {}

/** Composes reports and sends them. */
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

  const remember = (report: OutgoingReport) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => Ref.set(reported, Option.some({ ...report, at })))
  return {
    instanceId,
    reported: Ref.get(reported),
    engineReports: () => EngineStats.added(engines.reports(), router),
    compose: Effect.fn("Reporter.compose")(function*(known: NodeCapabilities): Effect.fn.Return<OutgoingReport> {
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
    register: Effect.fn("Reporter.register")(function*(report: OutgoingReport) {
      yield* orchestrator.register({ id: identity.nodeId, hostname, instanceId, ...report })
      yield* remember(report)
    }),
    update: Effect.fn("Reporter.update")(function*(report: OutgoingReport) {
      yield* orchestrator.updateNode(identity.nodeId, report.report)
      yield* remember(report)
    })
  }
})

/** Reports noticeable changes; logs once why a report is refused. */
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
    const now = yield* sender.compose(known)
    if (now.agentAddress !== before.value.agentAddress) {
      yield* sender.register(now)
      return yield* Effect.logWarning(
        `The address of this node changed from ${before.value.agentAddress} to ${now.agentAddress}: registered again. `
          + "An orchestrator that keeps using the old one needs a name that stays: start the agent with "
          + "--advertise-address HOSTNAME"
      ).pipe(Effect.annotateLogs("event", "address.changed"))
    }
    // The next poll would be too late.
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
        OrchestratorUnimplemented: (error) => once(`${capitalized(error.message)}; continuing without reports`),
        OrchestratorRejected: (error) => once(capitalized(error.message))
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
  // One report at a time.
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
      yield* sender.register(yield* sender.compose(known))
    }),
    run,
    farewell: Effect.gen(function*() {
      const before = yield* sender.reported
      if (Option.isNone(before)) return
      // The hardware no longer matters, and reading it may take long.
      yield* sender.update({
        ...before.value,
        report: { ...before.value.report, engines: sender.engineReports(), leaving: true }
      })
    }).pipe(
      Effect.interruptible,
      Effect.timeout("1 second"),
      // The agent is stopping: an outage has been logged before, and nothing else matters now.
      Effect.catchAllCause((cause) => Effect.logDebug("The orchestrator did not accept the last report", cause))
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
