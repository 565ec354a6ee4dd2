/**
 * The beginning of a container: created and started, or not there at all.
 *
 * Docker carries on with what it was asked for when the one who asked has left. So an interruption waits for the answer, for
 * a while, and then rolls back what came of it; and what was never answered is looked for by a label that only that one
 * creation has.
 */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Insulated from "../effect/Insulated.js"
import * as SystemError from "../text/SystemError.js"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as ContainerFailure from "./ContainerFailure.js"
import * as ContainerRemoval from "./ContainerRemoval.js"
import * as ContainerSpec from "./ContainerSpec.js"
import * as CreateRequest from "./CreateRequest.js"
import * as PortHolder from "./PortHolder.js"

/** What creating containers needs. */
export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly inspect: (
    container: string
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound>
  readonly list: (
    labels: Readonly<Record<string, string>>
  ) => Effect.Effect<ReadonlyArray<Container.ContainerSummary>, DockerError.DockerError>
  readonly remove: ContainerRemoval.ContainerRemoval["remove"]
}

/** Makes the part of an uninterruptible effect interruptible that it is given. */
export type Restore = <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>

export interface ContainerCreation {
  /** Fails when a path of this machine that the container is to see is not there. */
  readonly checkPaths: (spec: ContainerSpec.ContainerSpec) => Effect.Effect<void, DockerError.RunError>
  /** Creates and starts one container, or leaves none. To be run where it cannot be interrupted. */
  readonly attempt: (
    spec: ContainerSpec.ContainerSpec,
    options: Omit<CreateRequest.CreateOptions, "runId">,
    restore: Restore
  ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError>
}

const createDeadline = Duration.minutes(1)
/** Hooks that prepare GPUs take their time. */
const startDeadline = Duration.minutes(3)
/** How long an interruption waits for the answer to what was asked for. */
const settleLimit = Duration.seconds(20)
/** When a container is looked for that may have been created without an answer: it may come to be after the first look. */
const rollBackLooks = ["0 seconds", "1 second", "3 seconds"] as const

/** What has come of one creation so far. */
interface CreatedContainer {
  readonly runId: string
  id: string | undefined
  /** It was asked for, and the answer is missing. */
  unanswered: boolean
}

/** Lets an effect end, within a limit, when its caller is interrupted. */
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

/** Whether a failed request may have been carried out all the same. */
const isUnanswered = (error: DockerError.DockerError): boolean =>
  error._tag === "DockerTimeout" || (error._tag === "DockerUnreachable" && error.ambiguous)
  || (error._tag === "DockerRequestFailed" && error.status === 0)

/** Removes what came of a creation that failed. */
const rollBack = (
  { list, remove }: Pick<Dependencies, "list" | "remove">,
  spec: ContainerSpec.ContainerSpec,
  { id, runId, unanswered }: CreatedContainer
) => {
  const removeNow = (container: string) => ContainerRemoval.retryWhileUnreachable(remove(container, { force: true }))
  if (id !== undefined) return ContainerRemoval.boundedRollBack(spec.name, removeNow(id))
  if (!unanswered) return Effect.void
  const search = Effect.gen(function*() {
    for (const wait of rollBackLooks) {
      yield* Effect.sleep(wait)
      const found = yield* ContainerRemoval.retryWhileUnreachable(list({ [ContainerSpec.Label.runId]: runId }))
      for (const container of found) yield* removeNow(container.id)
      if (found.length > 0) return
    }
  })
  return ContainerRemoval.boundedRollBack(spec.name, search)
}

/** A mount of something that is not there. Paths of this machine mean nothing to a Docker elsewhere. */
const checkPaths = ({ transport }: Pick<Dependencies, "transport">) => (spec: ContainerSpec.ContainerSpec) =>
  Effect.gen(function*() {
    if (!DockerEndpoint.isLocal(yield* transport.endpoint)) return
    for (const mount of spec.mounts) {
      if (mount._tag !== "Bind") continue
      const code = yield* Effect.match(Effect.tryPromise(() => fs.stat(mount.source)), {
        onSuccess: () => undefined,
        onFailure: ({ error }) => SystemError.codeOf(error)
      })
      if (code === "ENOENT") {
        return yield* new DockerError.VolumeUnavailable({
          container: spec.name,
          path: mount.source,
          detail: "there is no such directory or file on this machine"
        })
      }
    }
  })

export const make = (dependencies: Dependencies): ContainerCreation => {
  const { inspect, list, transport } = dependencies
  const create = (
    spec: ContainerSpec.ContainerSpec,
    options: CreateRequest.CreateOptions,
    created: CreatedContainer
  ): Effect.Effect<string, DockerError.RunError> =>
    Effect.suspend(() => {
      created.unanswered = true
      return transport.json({
        operation: `create container ${spec.name}`,
        method: "POST",
        path: "/containers/create",
        query: { name: spec.name },
        body: CreateRequest.body(spec, options),
        deadline: createDeadline
      }, DockerApi.Created)
    }).pipe(
      Effect.tapBoth({
        onSuccess: ({ Id }) =>
          Effect.sync(() => {
            created.id = Id
            created.unanswered = false
          }),
        onFailure: (error) =>
          Effect.sync(() => {
            created.unanswered = isUnanswered(error)
          })
      }),
      Effect.mapBoth({ onSuccess: ({ Id }) => Id, onFailure: (error) => ContainerFailure.ofCreate(spec, error) })
    )

  /** Names who has the port. */
  const withHolder = (failure: DockerError.PortTaken, id: string) =>
    Effect.gen(function*() {
      const { container, port, protocol } = failure
      const others = yield* Effect.orElseSucceed(list({}), () => [])
      const holder = yield* PortHolder.find(port, protocol, others.filter((other) => other.id !== id))
      return new DockerError.PortTaken({ container, port, protocol, holder })
    })

  const start = (spec: ContainerSpec.ContainerSpec, id: string): Effect.Effect<void, DockerError.RunError> =>
    transport.call({
      operation: `start container ${spec.name}`,
      method: "POST",
      path: ContainerRemoval.pathOf(id, "/start"),
      deadline: startDeadline
    }).pipe(
      Effect.asVoid,
      Effect.catchAll((error) =>
        Effect.gen(function*() {
          const exitCode = yield* Effect.match(inspect(id), {
            onSuccess: (info) => info.exitCode,
            onFailure: () => undefined
          })
          const failure = ContainerFailure.ofStart(spec, error, exitCode)
          return yield* failure._tag === "PortTaken"
            ? Effect.flatMap(withHolder(failure, id), Effect.fail)
            : Effect.fail(failure)
        })
      )
    )

  return {
    checkPaths: checkPaths(dependencies),
    attempt: (spec, options, restore) =>
      Effect.suspend(() => {
        const created: CreatedContainer = { runId: randomUUID(), id: undefined, unanswered: false }
        return restore(Effect.gen(function*() {
          const id = yield* settled(create(spec, { ...options, runId: created.runId }, created))
          yield* settled(start(spec, id))
          return yield* Effect.catchTag(inspect(id), "ContainerNotFound", () =>
            new DockerError.ContainerStartFailed({
              container: spec.name,
              image: spec.image,
              detail: "it was removed while it started"
            }))
        })).pipe(Effect.onError(() => rollBack(dependencies, spec, created)))
      })
  }
}
