/** Who this node is in the cluster, and what the orchestrator was last told of it. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as os from "node:os"
import { Capabilities } from "../capabilities/Capabilities.js"
import { type Finding, NodeCapabilities } from "../node/NodeCapabilities.js"
import { AgentConfig } from "./AgentConfig.js"
import { InferenceRouter } from "../inference/InferenceRouter.js"
import { NodeAgentServer } from "../inference/NodeAgentServer.js"
import type { NodeReport } from "../node/Node.js"
import { Orchestrator, type OrchestratorError, type UnknownNode } from "../orchestrator/Orchestrator.js"
import { version } from "../Version.js"
import * as AgentAddress from "./AgentAddress.js"
import { AgentStatus } from "./AgentStatus.js"
import { EngineCare } from "./EngineCare.js"
import { NodeIdentity } from "../state/NodeIdentity.js"

/** What the orchestrator was told, and when: milliseconds since 1970. */
export interface Reported {
  readonly report: NodeReport
  readonly agentAddress: string
  readonly at: number
}

/** What the engines came upon belongs to what is known of the machine. */
const withFindings = (known: NodeCapabilities, findings: ReadonlyArray<Finding>): NodeCapabilities =>
  findings.length === 0 ? known : new NodeCapabilities({ ...known, findings: [...known.findings, ...findings] })

export class Registration extends Context.Tag("@orchion/node-agent/Registration")<
  Registration,
  {
    readonly nodeId: string
    /** `as node 3f… (10.0.0.7:50052)`. */
    readonly description: Effect.Effect<string>
    /** What there is to report once every probe that is due has answered: for those who can wait some seconds. */
    readonly latest: Effect.Effect<Omit<Reported, "at">>
    /** What the orchestrator last took. */
    readonly reported: Effect.Effect<Option.Option<Reported>>
    /** Registers with what is known now, waiting for no probe. */
    readonly register: Effect.Effect<void, OrchestratorError>
    /** Replaces the report that the orchestrator has. */
    readonly update: (report: NodeReport) => Effect.Effect<void, OrchestratorError | UnknownNode>
  }
>() {
  static readonly layer: Layer.Layer<
    Registration,
    never,
    | AgentConfig
    | AgentStatus
    | Capabilities
    | EngineCare
    | InferenceRouter
    | NodeAgentServer
    | NodeIdentity
    | Orchestrator
  > = Layer.effect(
    Registration,
    Effect.gen(function*() {
      const config = yield* AgentConfig
      const capabilities = yield* Capabilities
      const identity = yield* NodeIdentity
      const orchestrator = yield* Orchestrator
      const router = yield* InferenceRouter
      const server = yield* NodeAgentServer
      const status = yield* AgentStatus
      const engineCare = yield* EngineCare
      const hostname = Option.getOrElse(config.hostname, () => os.hostname())
      const reported = yield* Ref.make(Option.none<Reported>())

      /** Of engines that are asked through the agent. */
      const figuresOf = (name: string) => name === "vllm" || name === "ollama" ? { figures: router.figures(name) } : {}

      const reportOf = Effect.fn("Registration.report")(function*(read: Effect.Effect<NodeCapabilities>) {
        const known = yield* read
        const { engines } = yield* status.get
        return {
          report: {
            capabilities: withFindings(known, engineCare.findings()),
            agentVersion: version,
            labels: {},
            engines: engines.map((engine) => ({ ...engine, ...figuresOf(engine.name) }))
          },
          agentAddress: yield* AgentAddress.find({
            advertised: config.advertiseAddress,
            orchestrator: config.orchestrator,
            port: server.port
          })
        }
      })
      const remember = (told: Omit<Reported, "at">) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) => Ref.set(reported, Option.some({ ...told, at })))

      return {
        nodeId: identity.nodeId,
        description: Effect.map(
          Ref.get(reported),
          Option.match({
            onNone: () => `as node ${identity.nodeId}`,
            onSome: ({ agentAddress }) => `as node ${identity.nodeId} (${agentAddress})`
          })
        ),
        latest: reportOf(capabilities.readAll),
        reported: Ref.get(reported),
        register: Effect.gen(function*() {
          const told = yield* reportOf(capabilities.read)
          yield* orchestrator.register({ id: identity.nodeId, hostname, ...told })
          yield* remember(told)
        }),
        update: Effect.fn("Registration.update")(function*(report) {
          yield* orchestrator.updateNode(identity.nodeId, report)
          const { agentAddress } = Option.getOrElse(yield* Ref.get(reported), () => ({ agentAddress: "" }))
          yield* remember({ report, agentAddress })
        })
      }
    })
  )
}
