/**
 * A container's life: created, started, and at the end stopped and removed, whatever comes between.
 *
 * The engine goes on with what it was asked for when the one who asked has left. So an interruption waits for the
 * answer, for a while, and then takes back what came of it; and what was never answered is looked for by a label that
 * only that one creation has.
 */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as Container from "./api/Container.js"
import * as ContainerSpec from "./ContainerSpec.js"
import * as CreateRequest from "./CreateRequest.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as Insulated from "../effect/Insulated.js"
import * as PortHolder from "./PortHolder.js"

/** What running containers needs. */
export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly version: Effect.Effect<Container.DockerVersion, DockerError.DockerError>
  readonly info: Effect.Effect<Container.DockerInfo, DockerError.DockerError>
  readonly inspect: (
    container: string
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound>
  readonly list: (
    labels: Readonly<Record<string, string>>
  ) => Effect.Effect<ReadonlyArray<Container.ContainerSummary>, DockerError.DockerError>
}

/** How a container is given up. */
export interface ReleaseOptions {
  /** From the stop signal to the kill. Default: what the container was created with. */
  readonly grace?: Duration.DurationInput
}

export interface ContainerRun {
  readonly run: (
    spec: ContainerSpec.ContainerSpec
  ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError>
  readonly runScoped: (
    spec: ContainerSpec.ContainerSpec,
    options?: ReleaseOptions
  ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError, Scope.Scope>
  readonly adoptScoped: (
    container: string,
    options?: ReleaseOptions
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound, Scope.Scope>
  readonly stop: (container: string, options?: ReleaseOptions) => Effect.Effect<void, DockerError.DockerError>
  readonly remove: (
    container: string,
    options?: { readonly force?: boolean }
  ) => Effect.Effect<void, DockerError.DockerError>
}

const createDeadline = Duration.minutes(1)
/** Hooks that hand over GPUs take their time. */
const startDeadline = Duration.minutes(3)
/** How long an interruption waits for the answer to what was asked for. */
const settleLimit = Duration.seconds(20)
const removeDeadline = Duration.minutes(1)
/** What a stop takes beyond its grace. */
const stopMargin = Duration.seconds(30)
/** The engine's own, for a container that was created without. */
const defaultGraceSeconds = 10
/** How long a release goes on trying while the engine is away. */
const releasePatience = Duration.seconds(15)

const graceOf = (container: Container.ContainerInfo): Duration.Duration =>
  Duration.seconds(container.stopTimeoutSeconds ?? defaultGraceSeconds)

const path = (container: string, rest = "") => `/containers/${encodeURIComponent(container)}${rest}`

/** What one creation has come to. */
interface Made {
  readonly runId: string
  id: string | undefined
  /** It was asked for, and the answer is missing. */
  unanswered: boolean
}

/** Runs to the end, within limits, also when the caller is interrupted. */
const settled = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) =>
        Effect.flatMap(Effect.forkIn(Effect.interruptible(effect), scope), (fiber) =>
          Effect.onInterrupt(
            restore(Fiber.join(fiber)),
            () => Insulated.insulated(Effect.timeoutOption(Fiber.await(fiber), settleLimit))
          )),
      Scope.close
    )
  )

/** Turns the engine's refusal to create into the condition that it is. */
const createFailure = (
  spec: ContainerSpec.ContainerSpec,
  error: DockerError.DockerError
): DockerError.RunError => {
  if (error._tag !== "DockerRequestFailed") return error
  const { detail, status } = error
  const name = spec.name
  if (/no space left on device|disk quota exceeded/i.test(detail)) {
    return new DockerError.OutOfDisk({ subject: `container ${name}`, detail })
  }
  const taken = /name "?\/?([^"\s]+)"? is already in use by (?:container )?"?([0-9a-f]{12,64})?/i.exec(detail)
  if (taken !== null || (status === 409 && /name/i.test(detail))) {
    return new DockerError.NameTaken({ name, holder: taken?.[2] })
  }
  if (/no such image|image not known|unable to find image/i.test(detail)) {
    return new DockerError.ImageNotFound({
      image: spec.image,
      detail: `${detail} (it is not on this machine; pull it first)`,
      mayNeedLogin: false
    })
  }
  const bind = /bind source path does not exist:? (\S+)|statfs (\S+): no such file/i.exec(detail)
  if (bind !== null) {
    return new DockerError.VolumeUnavailable({ container: name, path: bind[1] ?? bind[2] ?? "", detail })
  }
  const failure = startFailure(spec, error, undefined)
  return failure._tag === "ContainerStartFailed" ? error : failure
}

const gpuRemedy = (vendor: string, detail: string): string => {
  if (/unknown device|unresolvable|no such device|invalid device|not found/i.test(detail)) {
    return vendor === "nvidia"
      ? "\"nvidia-smi -L\" shows which GPUs there are; ask for one of those."
      : "Check which GPUs there are (\"amd-smi list\"), and that their CDI specification is up to date."
  }
  if (/driver not loaded|driver error|nvml error|initialization error/i.test(detail)) {
    return "The GPU's driver does not work on this machine: see what \"nvidia-smi\" says, then restart or reinstall it."
  }
  return vendor === "nvidia"
    ? "Install the NVIDIA Container Toolkit (package nvidia-container-toolkit), run \"sudo nvidia-ctk runtime configure "
      + "--runtime=docker\", and restart Docker; or ask for no GPU."
    : "Set up the AMD Container Toolkit's CDI specification (\"sudo amd-ctk cdi generate\"), or ask for no GPU."
}

const gpuUnavailable = (
  spec: ContainerSpec.ContainerSpec,
  gpus: ContainerSpec.GpuRequest,
  detail: string,
  remedy = gpuRemedy(gpus.vendor, detail)
) =>
  new DockerError.GpuUnavailable({
    container: spec.name,
    vendor: gpus.vendor === "nvidia" ? "NVIDIA" : "AMD",
    devices: gpus.devices === "all" ? "all" : gpus.devices.join(","),
    detail,
    remedy
  })

/** No driver took the request: the toolkit is not there, or not known to the engine. */
const isNoDriver = (error: DockerError.RunError) =>
  error._tag === "GpuUnavailable" && /could not select device driver/i.test(error.detail)

/** Turns the engine's refusal to start into the condition that it is. */
const startFailure = (
  spec: ContainerSpec.ContainerSpec,
  error: DockerError.DockerError,
  exitCode: number | undefined
): DockerError.RunError => {
  if (error._tag !== "DockerRequestFailed") return error
  const { detail, status } = error
  const container = spec.name
  if (/no space left on device|disk quota exceeded/i.test(detail)) {
    return new DockerError.OutOfDisk({ subject: `container ${container}`, detail })
  }
  if (
    spec.gpus !== undefined
    && /could not select device driver|nvidia-container|libnvidia|CDI device|gpu=|amd-container/i.test(detail)
  ) {
    return gpuUnavailable(spec, spec.gpus, detail)
  }
  const device = /(?:custom device|device) "?(\/dev\/[^"\s:]*)"?|stat (\/dev\/[^\s:]+): no such file/i.exec(detail)
  if (/error gathering device information|stat \/dev\//i.test(detail) && device !== null) {
    return new DockerError.DeviceUnavailable({ container, device: device[1] ?? device[2] ?? "", detail })
  }
  if (/address already in use|port is already allocated|ports are not available/i.test(detail)) {
    const published = spec.ports.filter((port) => port.host !== undefined)
    const named = published.find((port) => new RegExp(`:${port.host}\\b`).test(detail)) ?? published[0]
    if (named?.host !== undefined) {
      return new DockerError.PortTaken({ container, port: named.host, protocol: named.protocol })
    }
  }
  // A request that is wrong in itself, or that failed before anything could start.
  if (status === 400 && exitCode === undefined) return error
  return new DockerError.ContainerStartFailed({ container, image: spec.image, exitCode, detail })
}

export const make = ({ info, inspect, list, transport, version }: Dependencies): ContainerRun => {
  const stop = (container: string, options: ReleaseOptions = {}): Effect.Effect<void, DockerError.DockerError> =>
    Effect.gen(function*() {
      const grace = options.grace === undefined
        // The engine would use the container's own as well, and leave us without a deadline.
        ? graceOf(yield* inspect(container))
        : Duration.decode(options.grace)
      yield* transport.call({
        operation: `stop container ${container}`,
        method: "POST",
        path: path(container, "/stop"),
        query: { t: Math.ceil(Duration.toSeconds(grace)) },
        deadline: Duration.sum(grace, stopMargin)
      })
    }).pipe(
      Effect.catchTags({
        DockerRequestFailed: (error) => error.status === 404 ? Effect.void : Effect.fail(error),
        ContainerNotFound: () => Effect.void
      })
    )

  /** Until the engine knows it no longer. */
  const gone = (container: string): Effect.Effect<void, DockerError.DockerError> =>
    Effect.matchEffect(inspect(container), {
      onSuccess: () => Effect.zipRight(Effect.sleep(Duration.millis(200)), gone(container)),
      onFailure: (error) => error._tag === "ContainerNotFound" ? Effect.void : Effect.fail(error)
    })

  const remove = (
    container: string,
    options: { readonly force?: boolean } = {}
  ): Effect.Effect<void, DockerError.DockerError> => {
    const request = transport.call({
      operation: `remove container ${container}`,
      method: "DELETE",
      path: path(container),
      // Volumes without a name go with it; those with one stay.
      query: { force: options.force ?? false, v: true },
      deadline: removeDeadline
    })
    const timedOut = () =>
      Effect.flatMap(transport.endpoint, (endpoint) =>
        Effect.fail(
          new DockerError.DockerTimeout({
            endpoint: DockerEndpoint.format(endpoint),
            operation: `remove container ${container}`,
            after: Duration.toMillis(removeDeadline)
          })
        ))
    return request.pipe(
      Effect.retry({
        // A process that was just killed may hold on to its files for a moment.
        while: (error) => error._tag === "DockerRequestFailed" && /busy|driver .* failed to remove/i.test(error.detail),
        schedule: Schedule.intersect(Schedule.spaced("500 millis"), Schedule.recurs(10))
      }),
      Effect.asVoid,
      Effect.catchTag("DockerRequestFailed", (error) => {
        if (error.status === 404) return Effect.void
        if (error.status === 409 && /already in progress/i.test(error.detail)) {
          return Insulated.asTheCaller(Effect.flatten(Effect.timeoutTo(gone(container), {
            duration: removeDeadline,
            onSuccess: () => Effect.void,
            onTimeout: timedOut
          })))
        }
        return Effect.fail(error)
      })
    )
  }

  /** Tries again while the engine is away, for a while. */
  const patiently = <A>(effect: Effect.Effect<A, DockerError.DockerError>): Effect.Effect<A, DockerError.DockerError> =>
    Effect.retry(effect, {
      while: (error) => error._tag === "DockerUnreachable",
      schedule: Schedule.exponential("200 millis").pipe(
        Schedule.union(Schedule.spaced("2 seconds")),
        Schedule.intersect(Schedule.recurs(30)),
        Schedule.upTo(releasePatience)
      )
    })

  /** A finalizer's work: bounded, and what it cannot do is said. */
  const lastly = (
    subject: string,
    limit: Duration.Duration,
    effect: Effect.Effect<void, DockerError.DockerError>
  ): Effect.Effect<void> => {
    const sayLeft = (reason: string) =>
      Effect.logError(
        `${subject} could not be removed and may still be there: ${reason} It is removed at the agent's next start, or `
          + "now with \"docker rm -f\"."
      )
    return effect.pipe(
      Effect.timeoutTo({
        duration: limit,
        onSuccess: () => Effect.void,
        onTimeout: () => sayLeft(`it took longer than ${Math.round(Duration.toSeconds(limit))} s.`)
      }),
      Effect.flatten,
      Effect.catchAll((error) => sayLeft(error.message)),
      Insulated.insulated
    )
  }

  const release = (container: Container.ContainerInfo, options: ReleaseOptions): Effect.Effect<void> => {
    const grace = options.grace === undefined ? graceOf(container) : Duration.decode(options.grace)
    return lastly(
      `Container ${container.name} (${container.id.slice(0, 12)})`,
      Duration.sum(Duration.sum(grace, stopMargin), Duration.sum(removeDeadline, releasePatience)),
      // A stop that fails must not keep the removal from being tried.
      patiently(stop(container.id, { grace })).pipe(
        Effect.catchAll((error) =>
          Effect.logWarning(`Container ${container.name} did not stop, and is removed as it is: ${error.message}`)
        ),
        Effect.zipRight(patiently(remove(container.id, { force: true })))
      )
    )
  }

  /** Takes back a creation that came to nothing. */
  const takeBack = (spec: ContainerSpec.ContainerSpec, made: Made): Effect.Effect<void> => {
    const { id } = made
    if (id === undefined && !made.unanswered) return Effect.void
    const work = id !== undefined
      ? patiently(remove(id, { force: true }))
      : Effect.gen(function*() {
        // It may come to be only after we have looked.
        for (const delay of [0, 1_000, 3_000]) {
          yield* Effect.sleep(Duration.millis(delay))
          const found = yield* patiently(list({ [ContainerSpec.Label.runId]: made.runId }))
          for (const container of found) yield* patiently(remove(container.id, { force: true }))
          if (found.length > 0) return
        }
      })
    return lastly(
      `The unfinished container ${spec.name}`,
      Duration.sum(removeDeadline, Duration.times(releasePatience, 2)),
      work
    )
  }

  /** What can be known to be wrong before anything is created. */
  const checkPaths = (spec: ContainerSpec.ContainerSpec): Effect.Effect<void, DockerError.RunError> =>
    Effect.gen(function*() {
      // Paths of this machine mean nothing to an engine elsewhere.
      if (!DockerEndpoint.isLocal(yield* transport.endpoint)) return
      for (const mount of spec.mounts) {
        if (mount._tag !== "Bind") continue
        const problem = yield* Effect.match(Effect.tryPromise(() => fs.stat(mount.source)), {
          onSuccess: () => undefined,
          onFailure: ({ error }) =>
            error instanceof Error && "code" in error && error.code === "ENOENT"
              ? "there is no such directory or file on this machine"
              : undefined
        })
        if (problem !== undefined) {
          return yield* new DockerError.VolumeUnavailable({
            container: spec.name,
            path: mount.source,
            detail: problem
          })
        }
      }
    })

  const create = (
    spec: ContainerSpec.ContainerSpec,
    options: CreateRequest.CreateOptions,
    made: Made
  ): Effect.Effect<string, DockerError.RunError> => {
    const name = spec.name
    return Effect.suspend(() => {
      made.unanswered = true
      return transport.json({
        operation: `create container ${name}`,
        method: "POST",
        path: "/containers/create",
        query: { name },
        body: CreateRequest.body(spec, options),
        deadline: createDeadline
      }, DockerApi.Created)
    }).pipe(
      Effect.tapBoth({
        onSuccess: ({ Id }) =>
          Effect.sync(() => {
            made.id = Id
            made.unanswered = false
          }),
        onFailure: (error) =>
          Effect.sync(() => {
            made.unanswered = error._tag === "DockerTimeout" || (error._tag === "DockerUnreachable" && error.ambiguous)
              || (error._tag === "DockerRequestFailed" && error.status === 0)
          })
      }),
      Effect.mapBoth({ onSuccess: ({ Id }) => Id, onFailure: (error) => createFailure(spec, error) })
    )
  }

  const start = (spec: ContainerSpec.ContainerSpec, id: string): Effect.Effect<void, DockerError.RunError> =>
    transport.call({
      operation: `start container ${spec.name}`,
      method: "POST",
      path: path(id, "/start"),
      deadline: startDeadline
    }).pipe(
      Effect.asVoid,
      Effect.catchAll((error) =>
        Effect.gen(function*() {
          const exitCode = yield* Effect.match(inspect(id), {
            onSuccess: (info) => info.exitCode,
            onFailure: () => undefined
          })
          const failure = startFailure(spec, error, exitCode)
          if (failure._tag !== "PortTaken") return yield* Effect.fail(failure)
          const { container, port, protocol } = failure
          const others = yield* Effect.orElseSucceed(list({}), () => [])
          const holder = yield* PortHolder.find(port, protocol, others.filter((other) => other.id !== id))
          return yield* new DockerError.PortTaken({ container, port, protocol, holder })
        })
      )
    )

  const methodFor = (
    spec: ContainerSpec.ContainerSpec,
    { apiVersion, kind, version }: Container.DockerVersion
  ): Effect.Effect<"hook" | "cdi", DockerError.GpuUnavailable> => {
    const { gpus } = spec
    if (gpus === undefined) return Effect.succeed("hook")
    const method = gpus.method !== "auto"
      ? gpus.method
      : kind === "podman" || gpus.vendor === "amd"
      ? "cdi"
      : "hook"
    // Older engines, and Podman, accept what they do not understand and start the container without GPUs.
    if (method === "cdi" && kind === "docker" && !DockerApi.atLeast(apiVersion, "1.44")) {
      return Effect.fail(gpuUnavailable(
        spec,
        gpus,
        `Docker ${version} does not know the Container Device Interface, by which they would be handed over`,
        "Install Docker Engine 25 or newer, or name the devices themselves."
      ))
    }
    if (method === "hook" && kind === "podman") {
      return Effect.fail(gpuUnavailable(
        spec,
        gpus,
        "Podman has no runtime hook for them",
        "Let them be handed over by the Container Device Interface."
      ))
    }
    return Effect.succeed(method)
  }

  /** Creates and starts one container, or leaves none. To be run where it cannot be interrupted. */
  const attempt = (
    spec: ContainerSpec.ContainerSpec,
    options: Omit<CreateRequest.CreateOptions, "runId">,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<Container.ContainerInfo, DockerError.RunError> =>
    Effect.suspend(() => {
      const made: Made = { runId: randomUUID(), id: undefined, unanswered: false }
      return restore(Effect.gen(function*() {
        const id = yield* settled(create(spec, { ...options, runId: made.runId }, made))
        yield* settled(start(spec, id))
        return yield* Effect.mapError(inspect(id), (error) =>
          error._tag === "ContainerNotFound"
            ? new DockerError.ContainerStartFailed({
              container: spec.name,
              image: spec.image,
              detail: "it was removed while it started"
            })
            : error)
      })).pipe(
        Effect.onError(() => takeBack(spec, made))
      )
    })

  const launch = (
    spec: ContainerSpec.ContainerSpec,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<Container.ContainerInfo, DockerError.RunError> =>
    Effect.gen(function*() {
      const engine = yield* restore(Effect.zipRight(checkPaths(spec), version))
      const gpuMethod = yield* methodFor(spec, engine)
      const { kind } = engine
      const first = attempt(spec, { kind, gpuMethod }, restore)
      if (spec.gpus === undefined || spec.gpus.method !== "auto" || gpuMethod !== "hook") return yield* first
      // Newer engines can hand out by CDI what they have no hook for.
      return yield* Effect.catchIf(first, isNoDriver, (error) =>
        Effect.gen(function*() {
          const { cdi } = yield* restore(info)
          if (!cdi || !DockerApi.atLeast(engine.apiVersion, "1.44")) return yield* Effect.fail(error)
          return yield* Effect.catchTag(
            attempt(spec, { kind, gpuMethod: "cdi" }, restore),
            "GpuUnavailable",
            // What is missing is told by the first.
            () => Effect.fail(error)
          )
        }))
    })

  return {
    stop,
    remove,
    run: (spec) => Effect.uninterruptibleMask((restore) => launch(spec, restore)),
    runScoped: (spec, options = {}) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.tap(launch(spec, restore), (container) => Effect.addFinalizer(() => release(container, options)))
      ),
    adoptScoped: (container, options = {}) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.tap(restore(inspect(container)), (found) => Effect.addFinalizer(() => release(found, options)))
      )
  }
}
