/** A supervisor on a real engine, with stand-ins for the inference engines and a machine of the test's choice. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { CpuInfo, type NodeCapabilities } from "../../src/node/NodeCapabilities.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as Source from "../../src/config/Source.js"
import * as Daemon from "../../src/effect/Daemon.js"
import * as drivers from "../../src/engine/drivers.js"
import type { EngineDriver } from "../../src/engine/EngineDriver.js"
import * as EngineSupervisor from "../../src/engine/EngineSupervisor.js"
import type { EngineTimes } from "../../src/engine/EngineTimes.js"
import { Machine } from "../../src/engine/Machine.js"
import type { EngineReport } from "../../src/node/Node.js"
import * as LogLines from "../support/LogLines.js"
import * as Machines from "../support/Machines.js"

export interface Options {
  readonly nodeId: string
  /** As on the command line, without dashes. */
  readonly settings: Readonly<Record<string, string>>
  readonly times?: Partial<EngineTimes>
  readonly capabilities?: () => NodeCapabilities
  readonly env?: Readonly<Record<string, string>>
  /** Why the GPUs are not known yet. */
  readonly gpusPending?: () => string | undefined
  /** Further engines. */
  readonly drivers?: ReadonlyArray<EngineDriver>
  readonly supervisor?: Partial<EngineSupervisor.SupervisorOptions>
}

/** Impatient, so that tests are quick. */
const times: Partial<EngineTimes> = {
  firstBackoff: Duration.millis(200),
  longestBackoff: Duration.seconds(2),
  checkInterval: Duration.millis(200),
  checkDeadline: Duration.seconds(1),
  lookInterval: Duration.millis(500)
}

/** A machine without a GPU, whose processor vLLM can use. */
export const plain = Machines.machine({
  cpu: new CpuInfo({ architecture: "amd64", logicalCores: 8, features: ["avx2"] })
})

export const machine = (
  capabilities: () => NodeCapabilities,
  env: Readonly<Record<string, string>> = {},
  gpusPending: () => string | undefined = () => undefined
) =>
  Layer.succeed(Machine, {
    look: (nodeId) =>
      Effect.sync(() => {
        const pending = gpusPending()
        return {
          nodeId,
          capabilities: capabilities(),
          env,
          deviceGroups: [],
          ...(pending === undefined ? {} : { gpusPending: pending })
        }
      })
  })

/** Starts one; it ends with the scope. */
export const start = (options: Options) =>
  Effect.gen(function*() {
    const logs = LogLines.make()
    const settings = yield* AgentConfig.fromSources([Source.program(options.settings)])
    const daemons = yield* Layer.build(Daemon.Daemons.layer)
    const supervisor = yield* EngineSupervisor.make({
      drivers: [...(yield* drivers.make(settings)), ...(options.drivers ?? [])],
      nodeId: options.nodeId,
      keepEngines: settings.keepEngines,
      ...(settings.enginesOnDemand ? { driverFor: drivers.forModel(settings) } : {}),
      ...options.supervisor,
      times: { ...times, ...options.times }
    }).pipe(
      Effect.provide(machine(options.capabilities ?? (() => plain), options.env, options.gpusPending)),
      Effect.provide(daemons),
      Effect.provide(logs.layer)
    )
    const seen = yield* Ref.make<ReadonlyArray<EngineReport>>([])
    yield* Effect.forkScoped(
      Stream.runForEach(supervisor.engines.changes, (reports) => Ref.update(seen, (all) => [...all, ...reports]))
    )
    return {
      ...supervisor,
      logs,
      /** Every report, in order. */
      seen: Ref.get(seen),
      /** The first report, from now on, that is so; it fails after 60 s with what there was instead. */
      until: (condition: (report: EngineReport) => boolean) =>
        Stream.runHead(
          Stream.filter(Stream.mapConcat(supervisor.engines.changes, (reports) => reports), condition)
        ).pipe(
          Effect.flatten,
          Effect.timeout("60 seconds"),
          Effect.catchAll(() =>
            Effect.die(
              new Error(
                `never so: ${condition}; ${JSON.stringify(supervisor.engines.current())}; ${
                  logs.all.map(({ text }) => text).join("\n")
                }`
              )
            )
          )
        )
    }
  })
