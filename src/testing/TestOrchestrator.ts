/** An orchestrator in memory: it answers as a program says, and remembers what it was asked. */
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { NodeRegistration, NodeReport } from "../node/Node.js"
import { Orchestrator, type OrchestratorError, type UnknownNode } from "../orchestrator/Orchestrator.js"

/** What an agent asked, and when: `at` is in milliseconds since 1970, by the clock of the asking fiber. */
export type Call =
  | { readonly method: "register"; readonly at: number; readonly registration: NodeRegistration }
  | { readonly method: "heartbeat"; readonly at: number; readonly nodeId: string }
  | { readonly method: "updateNode"; readonly at: number; readonly nodeId: string; readonly report: NodeReport }
  | { readonly method: "reconnect"; readonly at: number }

/** How the methods answer. */
export interface Answers {
  readonly register: Effect.Effect<void, OrchestratorError>
  readonly heartbeat: Effect.Effect<void, OrchestratorError | UnknownNode>
  readonly updateNode: Effect.Effect<void, OrchestratorError | UnknownNode>
}

/** How many calls are remembered; of more, the oldest are forgotten. */
export const maxCalls = 10_000

/** The orchestrator that {@link layer} gives to an agent. */
export class TestOrchestrator extends Context.Tag("@orchion/node-agent/testing/TestOrchestrator")<
  TestOrchestrator,
  {
    /** Changes how methods answer from now on. Those that are not named stay as they are. */
    readonly answer: (answers: Partial<Answers>) => Effect.Effect<void>
    /** What it was asked, oldest first; at most {@link maxCalls}. */
    readonly calls: Effect.Effect<ReadonlyArray<Call>>
    /** Waits for a call that was, or will be, made. */
    readonly waitFor: <C extends Call>(wanted: (call: Call) => call is C) => Effect.Effect<C>
  }
>() {}

/** A call of one method, for {@link TestOrchestrator}'s `waitFor`. */
export const isMethod = <M extends Call["method"]>(method: M) => (call: Call): call is Extract<Call, { method: M }> =>
  call.method === method

/** Accepts everything by default. */
export const layer: Layer.Layer<Orchestrator | TestOrchestrator> = Layer.effectContext(Effect.gen(function*() {
  const calls = yield* SubscriptionRef.make(Chunk.empty<Call>())
  const answers = yield* Ref.make<Answers>({ register: Effect.void, heartbeat: Effect.void, updateNode: Effect.void })
  const note = (make: (at: number) => Call) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (at) => SubscriptionRef.update(calls, (known) => Chunk.append(Chunk.takeRight(known, maxCalls - 1), make(at)))
    )
  const answer = <E>(pick: (answers: Answers) => Effect.Effect<void, E>) => Effect.flatMap(Ref.get(answers), pick)

  return Context.make(TestOrchestrator, {
    answer: (changed) => Ref.update(answers, (known) => ({ ...known, ...changed })),
    calls: Effect.map(SubscriptionRef.get(calls), Chunk.toReadonlyArray),
    waitFor: <C extends Call>(wanted: (call: Call) => call is C) =>
      calls.changes.pipe(
        Stream.filterMap((known) => Chunk.findFirst(known, wanted)),
        Stream.runHead,
        // The changes of a reference never end.
        Effect.flatMap(Effect.orDie)
      )
  }).pipe(Context.add(Orchestrator, {
    address: "test-orchestrator:50051",
    register: (registration) =>
      Effect.zipRight(note((at) => ({ method: "register", at, registration })), answer(({ register }) => register)),
    heartbeat: (nodeId) =>
      Effect.zipRight(note((at) => ({ method: "heartbeat", at, nodeId })), answer(({ heartbeat }) => heartbeat)),
    updateNode: (nodeId, report) =>
      Effect.zipRight(
        note((at) => ({ method: "updateNode", at, nodeId, report })),
        answer(({ updateNode }) => updateNode)
      ),
    reconnect: note((at) => ({ method: "reconnect", at }))
  }))
}))
