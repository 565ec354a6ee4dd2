/** Supervises one engine: run after run, until the supervisor ends. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as DockerError from "../docker/api/DockerError.js"
import { NodeCapabilities } from "../node/NodeCapabilities.js"
import * as GoDuration from "../text/GoDuration.js"
import * as Diagnosis from "./Diagnosis.js"
import * as EngineFindings from "./EngineFindings.js"
import type { EnginePlan, EngineRefused } from "./EnginePlan.js"
import { EngineEvent } from "./EngineStatus.js"
import type { MachineFacts } from "./Machine.js"
import * as ContainerPhase from "./phases/ContainerPhase.js"
import * as DockerWait from "./phases/DockerWait.js"
import type * as EngineRun from "./phases/EngineRun.js"
import * as ExternalPhase from "./phases/ExternalPhase.js"
import type { GpuOffer } from "./phases/GpuWatch.js"
import * as RestartPolicy from "./RestartPolicy.js"

const { RunEnd } = RestartPolicy

/** How often settings that do not fit this machine are retried: a driver may load late. */
const longestRefusal = Duration.seconds(30)
/** Lines that are reported upstream with a failure. */
const reportedLines = 20
/** How often to check whether the GPUs are known yet. */
const gpuQuestion = Duration.seconds(1)

/** How a run ended. */
interface EndedRun {
  readonly end: RestartPolicy.RunEnd
  /** Absent where there is nothing to explain. */
  readonly diagnosis?: Diagnosis.Diagnosis
  /** Its last lines, oldest first. */
  readonly lines: ReadonlyArray<string>
}

/** The outcome of restarting for a GPU that became available while the engine ran on the CPU. */
type GpuSwap = Data.TaggedEnum<{
  None: {}
  /** The engine is being restarted for it. */
  Trying: { readonly key: string }
  /** It failed to start with the GPU and runs on the CPU again. */
  Declined: { readonly key: string; readonly diagnosis: Diagnosis.Diagnosis }
}>
const GpuSwap = Data.taggedEnum<GpuSwap>()

const withoutGpus = (facts: MachineFacts): MachineFacts => ({
  ...facts,
  capabilities: new NodeCapabilities({ ...facts.capabilities, gpus: [] })
})

/** The machine, once its GPUs are known: an engine that wants a GPU is not planned earlier. */
const lookAtMachine = ({ board, driver, machine, nodeId }: EngineRun.Supervision): Effect.Effect<MachineFacts> =>
  Effect.repeat(
    Effect.tap(
      machine.look(nodeId),
      ({ gpusPending }) =>
        gpusPending === undefined || !driver.wantsGpu ? Effect.void : Effect.zipRight(
          board.change(driver.name, { event: EngineEvent.Waiting({ detail: `Waiting for the GPUs: ${gpusPending}` }) }),
          Effect.sleep(gpuQuestion)
        )
    ),
    { until: ({ gpusPending }) => gpusPending === undefined || !driver.wantsGpu }
  )

const planFor = (
  supervision: EngineRun.Supervision,
  swap: GpuSwap
): Effect.Effect<EnginePlan, EngineRefused> =>
  Effect.flatMap(lookAtMachine(supervision), (facts) =>
    swap._tag !== "Declined"
      ? supervision.driver.plan(facts)
      : Effect.map(supervision.driver.plan(withoutGpus(facts)), (plan) => ({
        ...plan,
        findings: [EngineFindings.gpuStartFailed(supervision.driver.title, swap.diagnosis)]
      })))

type RunError =
  | EngineRefused
  | EngineRun.RunFailed
  | GpuOffer
  | DockerError.RunError
  | DockerError.PullError
  | DockerError.ContainerNotFound

/** One run, from the plan to its end. */
const run = (
  supervision: EngineRun.Supervision,
  swap: GpuSwap,
  trace: Ref.Ref<ContainerPhase.Trace>
): Effect.Effect<never, RunError> =>
  Effect.gen(function*() {
    const { board, driver } = supervision
    const replan = planFor(supervision, swap)
    const first = yield* replan
    yield* board.change(driver.name, { plan: first })
    if (first._tag === "External") return yield* ExternalPhase.phase(supervision, first)
    yield* DockerWait.phase(supervision)
    // Docker may have been unreachable for long.
    const plan = yield* replan
    yield* board.change(driver.name, { plan })
    if (plan._tag === "External") return yield* ExternalPhase.phase(supervision, plan)
    const declined = swap._tag === "Declined" ? swap.key : undefined
    return yield* ContainerPhase.phase(supervision, plan, { declined, replan, trace })
  })

/** Docker failed the run: while it is unreachable, failures are not counted. */
const ofDockerError = (
  { docker, driver }: EngineRun.Supervision,
  error: DockerError.RunError | DockerError.PullError | DockerError.ContainerNotFound
): Effect.Effect<Pick<EndedRun, "diagnosis" | "end">> =>
  Effect.gen(function*() {
    const failed = {
      end: RunEnd.Failed({ healthyFor: Duration.zero }),
      diagnosis: Diagnosis.ofDockerError(driver.diagnosis, error)
    }
    if (!DockerError.isUnavailable(error)) return failed
    // A Docker that answers with an error is not unreachable.
    if ((yield* Effect.isSuccess(docker.ping)) && error._tag === "DockerTimeout") return failed
    yield* Effect.logWarning(`${driver.title} will restart once Docker is reachable. ${error.message}`)
    return { end: RunEnd.Superseded() }
  })

const endOf = (
  supervision: EngineRun.Supervision,
  swap: GpuSwap
): Effect.Effect<readonly [EndedRun, GpuOffer | undefined]> =>
  Effect.gen(function*() {
    const { driver } = supervision
    const trace = yield* Ref.make(ContainerPhase.noTrace)
    const [how, offer] = yield* run(supervision, swap, trace).pipe(
      // A defect in one engine's run must not be silent, nor the end of its supervision.
      Effect.catchAllDefect((defect) =>
        Effect.fail({
          _tag: "Defect" as const,
          message: Cause.prettyErrors(Cause.die(defect))[0]?.message ?? "unknown reason"
        })
      ),
      Effect.catchAll((error) =>
        Effect.gen(function*() {
          switch (error._tag) {
            case "GpuOffer":
              return [{ end: RunEnd.Superseded() }, error] as const
            case "EngineRefused":
              return [{
                end: RunEnd.Refused(),
                diagnosis: Diagnosis.refused(driver.diagnosis, error.problem, error.remedy)
              }] as const
            case "RunFailed": {
              const { healthyFor } = yield* Ref.get(trace)
              return [{ end: RunEnd.Failed({ healthyFor }), diagnosis: error.diagnosis }] as const
            }
            case "Defect":
              return [{
                end: RunEnd.Failed({ healthyFor: Duration.zero }),
                diagnosis: Diagnosis.defect(driver.diagnosis, error.message)
              }] as const
            default:
              return [yield* ofDockerError(supervision, error)] as const
          }
        })
      )
    )
    const { lines } = yield* Ref.get(trace)
    return [{ ...how, lines }, offer]
  })

/** Falls back to the CPU when the engine failed to start with the GPU. */
const afterSwap = (
  { driver }: EngineRun.Supervision,
  swap: GpuSwap,
  ended: EndedRun,
  offer: GpuOffer | undefined
): Effect.Effect<readonly [GpuSwap, EndedRun]> =>
  Effect.gen(function*() {
    if (offer !== undefined) return [GpuSwap.Trying({ key: offer.key }), ended]
    const { diagnosis, end } = ended
    if (swap._tag !== "Trying" || end._tag === "Superseded" || diagnosis === undefined) return [swap, ended]
    if (end._tag === "Failed" && Duration.greaterThan(end.healthyFor, Duration.zero)) return [GpuSwap.None(), ended]
    yield* Effect.logWarning(
      `${driver.title} could not be started with the GPU; starting it without. ${Diagnosis.text(diagnosis)}`
    )
    return [GpuSwap.Declined({ key: swap.key, diagnosis }), { end: RunEnd.Superseded(), lines: [] }]
  })

/**
 * Reports the end of a run on the board and in the log: in full at first, in one line while the reason stays the same.
 */
const report = (
  { board, driver }: EngineRun.Supervision,
  { diagnosis, end, lines }: EndedRun,
  { history, wait }: RestartPolicy.Decision,
  logged: Ref.Ref<string | undefined>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (diagnosis === undefined) return
    const { plan } = board.get(driver.name)
    const nextTryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(wait)
    yield* board.change(driver.name, {
      event: EngineEvent.RetryScheduled({ attempt: history.attempt, nextTryAt, diagnosis }),
      // The agent does not restart an external engine.
      restarts: plan?._tag === "External" ? 0 : history.restarts,
      recentLog: lines.slice(-reportedLines),
      findings: [...(plan?.findings ?? []), EngineFindings.failed(driver.title, diagnosis)]
    })
    const text = Diagnosis.text(diagnosis)
    const seconds = Duration.seconds(Math.max(1, Math.round(Duration.toSeconds(wait))))
    const retry = `in ${GoDuration.format(seconds)} (attempt ${history.attempt})`
    if (history.attempt > 1 && (yield* Ref.get(logged)) === text) {
      yield* Effect.logWarning(
        `${driver.title} ${
          end._tag === "Refused" ? "still cannot run here" : "failed again for the same reason"
        }; retrying ${retry}`
      )
      return
    }
    yield* Ref.set(logged, text)
    yield* Effect.forEach(lines, (line) => Effect.logInfo(`${driver.name} | ${line}`), { discard: true })
    yield* Effect.logError(`${text} Retrying ${retry}`)
  })

/** Supervises an engine. Nothing that Docker, the orchestrator or the engine does ends it. */
export const supervise = (supervision: EngineRun.Supervision): Effect.Effect<never> =>
  Effect.gen(function*() {
    const { times } = supervision
    const policy: RestartPolicy.RestartPolicy = { ...times, longestRefusal }
    const history = yield* Ref.make(RestartPolicy.none)
    const swap = yield* Ref.make<GpuSwap>(GpuSwap.None())
    const logged = yield* Ref.make<string | undefined>(undefined)
    const once = Effect.gen(function*() {
      const before = yield* Ref.get(swap)
      const [how, offer] = yield* endOf(supervision, before)
      const [after, ended] = yield* afterSwap(supervision, before, how, offer)
      yield* Ref.set(swap, after)
      const decision = RestartPolicy.decide(policy, yield* Ref.get(history), ended.end)
      const wait = Duration.times(decision.wait, yield* Random.nextRange(0.8, 1.2))
      yield* Ref.set(history, decision.history)
      yield* report(supervision, ended, { ...decision, wait }, logged)
      yield* Effect.sleep(wait)
    })
    return yield* Effect.forever(once)
  }).pipe(Effect.annotateLogs("engine", supervision.driver.name))
