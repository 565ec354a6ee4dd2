/** A machine that is what a program says, in place of the one that it runs on. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { Capabilities } from "../capabilities/Capabilities.js"
import { CpuInfo, GpuInfo, MemoryInfo, NodeCapabilities, OsInfo } from "../node/NodeCapabilities.js"

const gib = 1024 ** 3

/** One H100 with 80 GB, idle; `fields` replaces facts about it. */
export const gpu = (fields: Partial<GpuInfo> = {}): GpuInfo =>
  new GpuInfo({
    vendor: "nvidia",
    model: "NVIDIA H100 80GB HBM3",
    uuid: "GPU-00000000-0000-0000-0000-000000000000",
    index: 0,
    memoryTotalBytes: 80 * gib,
    memoryUsedBytes: 0,
    memoryFreeBytes: 80 * gib,
    unifiedMemory: false,
    utilizationPercent: 0,
    migInstances: [],
    foreignProcesses: [],
    healthy: true,
    ...fields
  })

/** A Linux server with 16 threads, 64 GiB of memory and no GPU; `facts` replaces some of that. */
export const capabilities = (facts: Partial<NodeCapabilities> = {}): NodeCapabilities =>
  new NodeCapabilities({
    cpu: new CpuInfo({ architecture: "amd64", logicalCores: 16, features: [] }),
    memory: new MemoryInfo({ totalBytes: 64 * gib, availableBytes: 48 * gib }),
    os: new OsInfo({ hostname: "test-machine", platform: "linux", release: "6.1.0", uptimeSeconds: 60 }),
    gpus: [],
    disks: [],
    findings: [],
    ...facts
  })

/** The machine that {@link layer} gives to an agent. */
export class TestMachine extends Context.Tag("@orchion/node-agent/testing/TestMachine")<
  TestMachine,
  {
    /** What is read from now on. */
    readonly set: (capabilities: NodeCapabilities) => Effect.Effect<void>
    /** How often everything known was given up: after a sleep, for example. */
    readonly timesForgotten: Effect.Effect<number>
  }
>() {}

/** Every way to read answers with `initial`, or what was `set` last, at once. */
export const layer = (initial: NodeCapabilities = capabilities()): Layer.Layer<Capabilities | TestMachine> =>
  Layer.effectContext(Effect.gen(function*() {
    const now = yield* Ref.make(initial)
    const timesForgotten = yield* Ref.make(0)
    const read = Ref.get(now)
    return Context.make(TestMachine, {
      set: (capabilities) => Ref.set(now, capabilities),
      timesForgotten: Ref.get(timesForgotten)
    }).pipe(
      Context.add(Capabilities, {
        current: read,
        read,
        readAll: read,
        readWithin: () => read,
        forget: Ref.update(timesForgotten, (times) => times + 1)
      })
    )
  }))
