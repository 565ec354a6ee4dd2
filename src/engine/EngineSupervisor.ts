/**
 * Looks after the engines that the settings ask for: image, container, readiness, health, and again from the beginning
 * when one ends, for as long as it takes.
 *
 * Nothing that Docker, the orchestrator or an engine does ends it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Finding } from "../node/NodeCapabilities.js"
import type * as Settings from "./EngineSettings.js"
import * as GoDuration from "../text/GoDuration.js"
import type * as Container from "../docker/api/Container.js"
import { Docker } from "../docker/Docker.js"
import * as DockerError from "../docker/api/DockerError.js"
import type { PullProgress } from "../docker/ImagePull.js"
import * as Adoption from "./Adoption.js"
import * as Diagnosis from "./Diagnosis.js"
import { type EngineName, type Engines, titles } from "./Engine.js"
import * as EngineBoard from "./EngineBoard.js"
import * as EngineLife from "./EngineLife.js"
import type { EnginePlan, EngineRefused } from "./EnginePlan.js"
import * as EngineProbe from "./EngineProbe.js"
import * as SettingsCheck from "./SettingsCheck.js"
import { EngineStatus } from "./EngineStatus.js"
import * as EngineTimes from "./EngineTimes.js"
import * as Bytes from "../text/Bytes.js"
import { Machine, type MachineFacts } from "./Machine.js"
import * as Ollama from "./ollama/Ollama.js"
import * as Vllm from "./vllm/Vllm.js"

/** Between two tries to reach Docker, doubling. */
const firstDockerWait = Duration.seconds(1)
const longestDockerWait = Duration.seconds(30)
/** Settings that this machine cannot serve are tried again this often: a driver may come late. */
const longestRefusal = Duration.seconds(30)
/** So many lines are told upstream with a failure. */
const reportedLines = 20
/** The least time between two reports of how far a pull is. */
const progressMillis = 250
/** A GPU's memory is looked at so often, with so much time in between, before it is said to be too full. */
const shortageLooks = 5
const shortageInterval = Duration.seconds(1)

/** What differs from engine to engine. */
interface Definition {
  readonly name: EngineName
  readonly model: string
  /** As the settings choose them: `all`, `none`, ids. */
  readonly gpus: string
  readonly plan: (machine: MachineFacts) => Either.Either<EnginePlan, EngineRefused>
  readonly probe: (plan: EnginePlan) => EngineProbe.EngineProbe
  /** Why a container of this plan would find too little of something; looked at just before it is made. */
  readonly shortage: (plan: EnginePlan) => Diagnosis.Diagnosis | undefined
}

const definitionOf = (
  settings: Settings.EngineSettings,
  name: EngineName,
  { checkDeadline }: EngineTimes.EngineTimes
): Definition => {
  switch (name) {
    case "vllm":
      return {
        name,
        model: settings.vllmModel,
        gpus: settings.vllmGpus,
        plan: (machine) => Vllm.plan(settings, machine),
        probe: (plan) => EngineProbe.vllm(plan, Vllm.servedNames(settings), checkDeadline),
        shortage: (plan) => Vllm.memoryShortage(settings, plan)
      }
    case "ollama":
      return {
        name,
        model: settings.ollamaModel,
        gpus: settings.ollamaGpus,
        plan: (machine) => Ollama.plan(settings, machine),
        probe: (plan) => EngineProbe.ollama(plan, checkDeadline),
        shortage: () => undefined
      }
  }
}

const pullDetail = (progress: PullProgress): string => {
  const { downloadedBytes, extractedBytes, image, layers, phase, retry, totalBytes, totalKnown } = progress
  const ofLayers = `${layers.existing + layers.extracted} of ${layers.total} layers`
  switch (phase) {
    case "resolving":
      return `Pulling ${image}: asking the registry`
    case "downloading":
      return `Pulling ${image}: ${Bytes.format(downloadedBytes)} of ${totalKnown ? "" : "at least "}${
        Bytes.format(totalBytes)
      }, ${ofLayers}`
    case "extracting":
      return `Unpacking ${image}: ${Bytes.format(extractedBytes)} of ${Bytes.format(totalBytes)}, ${ofLayers}`
    case "waiting":
      return `Pulling ${image}: trying again in ${Math.round((retry?.delay ?? 0) / 1000)} s (${retry?.reason ?? ""})`
    case "complete":
      return `The image ${image} is complete`
  }
}

const pullStatus = (progress: PullProgress): EngineStatus => {
  const { downloadedBytes, extractedBytes, phase, totalBytes, totalKnown } = progress
  return EngineStatus.Pulling({
    detail: pullDetail(progress),
    ...(totalBytes === 0 ? {} : {
      bytes: {
        done: phase === "extracting" ? extractedBytes : downloadedBytes,
        ...(totalKnown ? { total: totalBytes } : {})
      }
    })
  })
}

const failedFinding = (name: EngineName, { lasting, message, remedy }: Diagnosis.Diagnosis): Finding =>
  new Finding({
    code: "engine.failed",
    severity: lasting ? "error" : "warning",
    subject: titles[name],
    message,
    remedy
  })

/** The container could not be made, or was not even tried. */
const neverLived = (diagnosis: Diagnosis.Diagnosis): EngineLife.Ended => ({ diagnosis, healthyFor: 0, lines: [] })

interface Dependencies extends EngineLife.Dependencies {
  readonly machine: Context.Tag.Service<Machine>
  readonly settings: Settings.EngineSettings
  readonly nodeId: string
}

/** Looks after one engine. */
const supervise = (dependencies: Dependencies, definition: Definition): Effect.Effect<never> => {
  const { board, docker, machine, nodeId, settings, times } = dependencies
  const { name } = definition
  const title = titles[name]
  const become = (status: EngineStatus) => board.change(name, { status })

  /** Ends when Docker answers. */
  const dockerAnswers = Effect.gen(function*() {
    let wait = firstDockerWait
    let told: string | undefined
    while (true) {
      const answer = yield* Effect.either(docker.ping)
      if (Either.isRight(answer)) {
        if (told !== undefined) {
          yield* Effect.logInfo(`Docker answers: going on with ${title}`)
          yield* board.change(name, { findings: board.get(name).plan?.findings ?? [] })
        }
        return
      }
      const error = answer.left
      const diagnosis = Diagnosis.ofDockerError(name, error)
      const nextTryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(wait)
      yield* board.change(name, {
        // No Docker, or none that may be used, takes somebody to act; one that is down may come by itself.
        status: diagnosis.lasting
          ? EngineStatus.Failed({ attempt: 0, nextTryAt, diagnosis })
          : EngineStatus.Starting({ detail: `Waiting for Docker. ${error.message}` }),
        findings: [...(board.get(name).plan?.findings ?? []), failedFinding(name, diagnosis)]
      })
      if (told !== error._tag) {
        told = error._tag
        yield* Effect.logWarning(`${title} waits for Docker, and starts when it answers. ${error.message}`)
      }
      yield* Effect.sleep(wait)
      wait = Duration.min(Duration.times(wait, 2), longestDockerWait)
    }
  })

  const pull = (image: string) =>
    Effect.suspend(() => {
      let lastTold = 0
      let lastPhase = ""
      return Stream.runForEach(docker.pull(image), (progress) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          // An image that is here already is not worth a word.
          if (progress.phase === "complete") return Effect.void
          if (progress.phase === lastPhase && now - lastTold < progressMillis) return Effect.void
          lastTold = now
          lastPhase = progress.phase
          return become(pullStatus(progress))
        }))
    })

  /** Its container, made or adopted. It is the scope's, which an agent that keeps its engines does not close. */
  const container = (plan: EnginePlan, adopted: Container.ContainerSummary | undefined): Effect.Effect<
    Container.ContainerInfo,
    DockerError.RunError | DockerError.ContainerNotFound,
    Scope.Scope
  > => adopted === undefined ? docker.runScoped(plan.spec) : docker.adoptScoped(adopted.id)

  /**
   * Ends when an engine that runs on the CPU for lack of a GPU could have one: drivers come late. Twice in a row, and
   * while no request is in flight, as the engine is started anew for it.
   */
  const gpuAppears = (plan: EnginePlan): Effect.Effect<void> =>
    plan.gpus !== undefined || definition.gpus === "none" ? Effect.never : Effect.gen(function*() {
      let seen = 0
      while (true) {
        yield* Effect.sleep(times.gpuInterval)
        const again = definition.plan(yield* machine.look(nodeId))
        seen = Either.isRight(again) && again.right.gpus !== undefined ? seen + 1 : 0
        if (seen < 2 || board.get(name).activity.inFlight > 0) continue
        yield* Effect.logInfo(`There is a GPU now: ${title} is started again to use it`)
        yield* become(EngineStatus.Starting({ detail: "Stopping it, to start it again with the GPU" }))
        return
      }
    })

  const planNow = Effect.map(machine.look(nodeId), definition.plan)

  /** What there is too little of, where it lasts: what was just removed gives its GPU memory back after a moment. */
  const lastingShortage = (plan: EnginePlan) =>
    Effect.gen(function*() {
      let shortage = definition.shortage(plan)
      for (let look = 1; shortage !== undefined && look < shortageLooks; look++) {
        yield* Effect.sleep(shortageInterval)
        const planned = yield* planNow
        shortage = Either.isRight(planned) ? definition.shortage(planned.right) : undefined
      }
      return shortage
    })

  /** `again` when it is to begin anew with nothing counted: Docker went away in the middle, or a GPU has come. */
  const life: Effect.Effect<EngineLife.Ended | "again"> = Effect.gen(function*() {
    const first = yield* planNow
    if (Either.isRight(first)) {
      yield* board.change(name, { plan: first.right })
      yield* dockerAnswers
    }
    // Docker may have been away for long.
    const planned = Either.isLeft(first) ? first : yield* planNow
    if (Either.isLeft(planned)) {
      return neverLived(Diagnosis.refused(name, planned.left.problem, planned.left.remedy))
    }
    const plan = planned.right
    yield* board.change(name, { plan })
    const found = yield* Adoption.adoptable(docker, { nodeId, engine: plan.name }, plan.spec)
    if (found === undefined) {
      const shortage = yield* lastingShortage(plan)
      if (shortage !== undefined) return neverLived(shortage)
      yield* pull(plan.spec.image)
      yield* become(EngineStatus.Starting({ detail: "Making its container" }))
    }
    const own = yield* Scope.make()
    return yield* Effect.gen(function*() {
      const { id } = yield* Scope.extend(container(plan, found), own)
      const probe = definition.probe(plan)
      return yield* Effect.raceFirst(
        Effect.scoped(EngineLife.live(dependencies, { plan, probe, id, adopted: found !== undefined })),
        Effect.as(gpuAppears(plan), "again" as const)
      )
    }).pipe(
      Effect.onExit((exit) =>
        // An interruption is the agent's end; everything else is the container's.
        settings.keepEngines && Exit.isInterrupted(exit) ? Effect.void : Scope.close(own, Exit.void)
      )
    )
  }).pipe(
    Effect.catchAll((error) =>
      Effect.gen(function*() {
        if (DockerError.isUnavailable(error)) {
          // One that answers and does not do what it is asked is not away.
          const answers = yield* Effect.isSuccess(docker.ping)
          if (!answers || error._tag !== "DockerTimeout") {
            yield* Effect.logWarning(`${title} begins again when Docker answers. ${error.message}`)
            return "again" as const
          }
        }
        return neverLived(Diagnosis.ofDockerError(name, error))
      })
    ),
    // A mistake of ours in one engine's care must not be silent, nor the end of it.
    Effect.catchAllDefect((defect) =>
      Effect.succeed(neverLived(Diagnosis.mistake(name, Cause.prettyErrors(Cause.die(defect))[0]?.message ?? "")))
    )
  )

  return Effect.gen(function*() {
    let attempt = 0
    let toldBefore: string | undefined
    let wasRefused = false
    while (true) {
      const ended = yield* life
      if (ended === "again") {
        yield* Effect.sleep(firstDockerWait)
        continue
      }
      const { diagnosis, healthyFor, lines } = ended
      // What was waited for before it could be tried says nothing of how well it runs.
      const isRefused = diagnosis.cause === "refused"
      if (healthyFor >= Duration.toMillis(times.healthyAgain) || isRefused !== wasRefused) {
        wasRefused = isRefused
        attempt = 0
        toldBefore = undefined
      }
      attempt++
      const longest = isRefused
        ? Duration.min(longestRefusal, times.longestBackoff)
        : times.longestBackoff
      const backoff = Duration.min(Duration.times(times.firstBackoff, 2 ** Math.min(attempt - 1, 20)), longest)
      const wait = Duration.times(backoff, yield* Random.nextRange(0.8, 1.2))
      const next = {
        attempt,
        nextTryAt: (yield* Clock.currentTimeMillis) + Duration.toMillis(wait),
        diagnosis
      }
      const { plan, restarts } = board.get(name)
      yield* board.change(name, {
        status: diagnosis.lasting ? EngineStatus.Failed(next) : EngineStatus.Restarting(next),
        // What was never tried is not tried again either.
        restarts: isRefused ? restarts : restarts + 1,
        recentLog: lines.slice(-reportedLines),
        findings: [...(plan?.findings ?? []), failedFinding(name, diagnosis)]
      })
      const said = Diagnosis.text(diagnosis)
      const again = `in ${
        GoDuration.format(Duration.seconds(Math.max(1, Math.round(Duration.toSeconds(wait)))))
      } (attempt ${attempt})`
      if (said === toldBefore) {
        yield* Effect.logWarning(`${title}: as before; trying again ${again}`)
      } else {
        toldBefore = said
        yield* Effect.forEach(lines, (line) => Effect.logInfo(`${name} | ${line}`), { discard: true })
        yield* Effect.logError(`${said} Trying again ${again}`)
      }
      yield* Effect.sleep(wait)
    }
  })
}

/** Removes what the settings ask for no longer; Docker may be away for long. */
const sweep = ({ docker, nodeId, settings }: Dependencies): Effect.Effect<void> =>
  Effect.gen(function*() {
    let wait = firstDockerWait
    let told: string | undefined
    while (true) {
      const swept = yield* Effect.either(Adoption.sweep(docker, nodeId, SettingsCheck.enabled(settings)))
      if (Either.isRight(swept)) return
      const { message } = swept.left
      // Where an engine is to run, its own care says that Docker is away.
      const isSaid = DockerError.isUnavailable(swept.left) && SettingsCheck.enabled(settings).length > 0
      if (told !== message && !isSaid) {
        told = message
        yield* Effect.logWarning(
          `What an earlier run left in Docker cannot be removed now, and is tried again. ${message}`
        )
      }
      yield* Effect.sleep(wait)
      wait = Duration.min(Duration.times(wait, 2), longestDockerWait)
    }
  })

export interface EngineSupervisor {
  readonly engines: Context.Tag.Service<Engines>
  /** What a person should know of the engines now. */
  readonly findings: () => ReadonlyArray<Finding>
  /** Ends when the containers that the settings do not ask for have been removed. */
  readonly swept: Effect.Effect<void>
  /** Stops all engines and removes their containers, unless they are to be kept. May be run twice. */
  readonly shutdown: Effect.Effect<void>
}

export interface SupervisorOptions {
  readonly settings: Settings.EngineSettings
  readonly nodeId: string
  readonly times?: Partial<EngineTimes.EngineTimes>
}

/** Starts to look after the engines of the settings, of which there may be none; they are stopped with the scope. */
export const make = (
  { nodeId, settings, ...options }: SupervisorOptions
): Effect.Effect<EngineSupervisor, never, Docker | Machine | Scope.Scope> =>
  Effect.gen(function*() {
    const times = { ...EngineTimes.defaults, ...options.times }
    const definitions = SettingsCheck.enabled(settings).map((name) => definitionOf(settings, name, times))
    const board = yield* EngineBoard.make(definitions)
    const dependencies: Dependencies = {
      board,
      docker: yield* Docker,
      machine: yield* Machine,
      nodeId,
      settings,
      times
    }
    const sweeping = yield* Effect.forkScoped(sweep(dependencies))
    const fibers = [
      sweeping,
      ...(yield* Effect.forEach(definitions, (definition) => Effect.forkScoped(supervise(dependencies, definition))))
    ]
    return {
      engines: board.engines,
      findings: board.findings,
      swept: Fiber.join(sweeping),
      shutdown: Effect.zipRight(
        Fiber.interruptAll(fibers),
        settings.keepEngines
          ? Effect.void
          : Effect.forEach(definitions, ({ name }) => board.change(name, { status: EngineStatus.Stopped() }), {
            discard: true
          })
      )
    }
  })
