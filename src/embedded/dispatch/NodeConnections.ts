/**
 * Connections to nodes: shared by all requests to an address, opened for the first and closed after an idle time. A
 * call whose caller has left is cancelled at a rate that does not cost the others their connection, or read to its end
 * where the node does not support cancellation.
 */
import * as dns from "node:dns"
import * as net from "node:net"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Shared from "../../effect/Shared.js"
import * as GrpcClient from "../../grpc/GrpcClient.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import * as HostPort from "../../net/HostPort.js"
import * as AgentAddress from "../registry/AgentAddress.js"
import * as CancelBudget from "./CancelBudget.js"

const { Status } = GrpcError

/** Servers written in Go close connections that ping more often. Missing heartbeats detect a lost node sooner. */
const keepalive = "310 seconds"

const connectTimeout = "5 seconds"

const idleTimeToLive = "5 minutes"

/** Connections to one address: one, until cancellations wear it out. */
const maxConnections = 8

/** What one message of a node may have, in bytes: a chat's answer, or some thousand embeddings at once. */
export const maxReceiveBytes = { chat: 16 * 1024 * 1024, embeddings: 48 * 1024 * 1024 } as const

export type Kind = keyof typeof maxReceiveBytes

/** Where a call goes. */
export interface Target {
  /** `host:port`. */
  readonly address: string
  /** The node registered from this machine, so that it may be on it. */
  readonly isLocal: boolean
  readonly kind: Kind
  /** Whether the node takes a cancelled call for one that is over. */
  readonly mayCancel: boolean
}

export interface NodeConnections {
  /**
   * Makes a call on a shared connection. When its caller is interrupted, `abandoned` is called, and the call continues
   * without it until it is cancelled, which may wait, or ends.
   */
  readonly use: <A>(
    target: Target,
    call: (client: GrpcClient.GrpcClient) => Effect.Effect<A, GrpcError.GrpcError>,
    abandoned: () => void
  ) => Effect.Effect<A, GrpcError.GrpcError>
  /** Forgets addresses without users. */
  readonly sweep: Effect.Effect<void>
}

/** The connections to one address, as far as cancellations wear them out. */
interface Pool {
  readonly budgets: Array<CancelBudget.CancelBudget>
  users: number
}

/** The first connection that can take many more cancellations, or the one that can take the most. */
const choose = (pool: Pool, now: number): number => {
  const left = pool.budgets.map((budget) => budget.left(now))
  const fresh = left.findIndex((tokens) => tokens > CancelBudget.burst / 2)
  if (fresh >= 0) return fresh
  if (pool.budgets.length < maxConnections) return pool.budgets.push(CancelBudget.make(now)) - 1
  return left.indexOf(Math.max(...left))
}

const unreachable = (address: string) => GrpcError.fail(Status.UNAVAILABLE, `Name resolution failed for ${address}`)

/**
 * What is dialled for an address: a name is resolved here and nowhere else, so that it is what was checked. All of its
 * addresses must be allowed.
 */
const resolve = (address: string, isLocal: boolean): Effect.Effect<string, GrpcError.GrpcError> => {
  const parsed = Option.getOrUndefined(HostPort.parse(address))
  if (parsed === undefined) return Effect.fail(unreachable(address))
  if (net.isIP(parsed.host) !== 0) return Effect.succeed(address)
  return Effect.async<ReadonlyArray<dns.LookupAddress>, GrpcError.GrpcError>((resume) =>
    dns.lookup(
      parsed.host,
      { all: true },
      (error, found) => resume(error === null ? Effect.succeed(found) : Effect.fail(unreachable(address)))
    )
  ).pipe(
    Effect.timeoutFail({ duration: connectTimeout, onTimeout: () => unreachable(address) }),
    Effect.flatMap((found) => {
      const [first] = found
      if (first === undefined || found.some((one) => AgentAddress.problem(one.address, isLocal) !== undefined)) {
        return Effect.fail(unreachable(address))
      }
      const alike = found.filter(({ family }) => family === first.family)
        .map((one) => HostPort.format({ host: one.address, port: parsed.port }))
      return Effect.succeed(alike.length === 1 ? alike[0] ?? address : `ipv${first.family}:${alike.join(",")}`)
    })
  )
}

const isUnavailable = (exit: Exit.Exit<unknown, GrpcError.GrpcError>) =>
  Exit.isFailure(exit) && Chunk.some(Cause.failures(exit.cause), ({ code }) => code === Status.UNAVAILABLE)

/** Closed with the scope, the calls on them cancelled. */
export const make: Effect.Effect<NodeConnections, never, Scope.Scope> = Effect.gen(function*() {
  const owner = yield* Effect.flatMap(Effect.scope, (outer) => Scope.fork(outer, ExecutionStrategy.sequential))
  const pools = new Map<string, Pool>()
  const shared = yield* Scope.extend(
    Shared.make({
      idleTimeToLive,
      lookup: (key: string) =>
        Effect.gen(function*() {
          const { address, isLocal, kind } = JSON.parse(key) as Target
          return yield* GrpcClient.make({
            address: yield* resolve(address, isLocal),
            maxReceiveBytes: maxReceiveBytes[kind],
            keepalive
          })
        })
    }),
    owner
  )

  const enter = ({ address }: Target, now: number): Pool => {
    const pool = pools.get(address) ?? { budgets: [CancelBudget.make(now)], users: 0 }
    pools.set(address, pool)
    pool.users += 1
    return pool
  }

  const onConnection = <A>(
    { address, isLocal, kind }: Target,
    slot: number,
    call: (client: GrpcClient.GrpcClient) => Effect.Effect<A, GrpcError.GrpcError>
  ) =>
    Effect.scoped(Effect.flatMap(
      shared.lease(JSON.stringify({ address, isLocal, kind, slot })),
      ({ discard, value: client }) =>
        client.connected(connectTimeout).pipe(
          Effect.zipRight(call(client)),
          // A connection that failed is not waited for: the next request makes a new one.
          Effect.onExit((exit) => isUnavailable(exit) ? discard : Effect.void)
        )
    ))

  /** Waits for the budget, unless the call ends first. */
  const cancel = <A>(
    fiber: Fiber.RuntimeFiber<A, GrpcError.GrpcError>,
    budget: CancelBudget.CancelBudget
  ): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const wait = budget.take(now)
      if (wait === 0) return Effect.asVoid(Fiber.interruptFork(fiber))
      return Effect.raceFirst(
        Effect.asVoid(Fiber.await(fiber)),
        Effect.zipRight(Effect.sleep(wait), Effect.suspend(() => cancel(fiber, budget)))
      )
    })

  return {
    use: (target, call, abandoned) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const now = yield* Clock.currentTimeMillis
          const pool = enter(target, now)
          const slot = choose(pool, now)
          const budget = pool.budgets[slot] ?? CancelBudget.make(now)
          const fiber = yield* onConnection(target, slot, call).pipe(
            Effect.ensuring(Effect.sync(() => pool.users -= 1)),
            Effect.interruptible,
            Effect.forkIn(owner)
          )
          return yield* restore(Fiber.join(fiber)).pipe(
            Effect.onInterrupt(() => {
              abandoned()
              return target.mayCancel ? Effect.forkIn(Effect.interruptible(cancel(fiber, budget)), owner) : Effect.void
            })
          )
        })
      ),
    sweep: Effect.map(Clock.currentTimeMillis, (now) => {
      for (const [address, { budgets, users }] of pools) {
        if (users === 0 && budgets.every((budget) => budget.isFull(now))) pools.delete(address)
      }
    })
  }
})
