/** What the probes of a machine share. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Tool from "../process/Tool.js"
import { type DeviceFiles, deviceFiles } from "./Files.js"
import * as PciBus from "./gpu/PciBus.js"

export interface Host {
  /** In front of `/proc`, `/sys`, `/etc` and the like; `/` but in tests. */
  readonly root: string
  readonly platform: NodeJS.Platform
  readonly env: NodeJS.ProcessEnv
  /** How long a probe may take before it is cut off. */
  readonly deadline: Duration.Duration
  /** How long the readings of idle GPUs are good for. */
  readonly idleGoodFor: Duration.Duration
  readonly tools: Tool.Tools
  readonly bus: PciBus.PciBus
  /** A reader of its own for each probe, so that a driver that hangs holds up one probe only. */
  readonly files: () => DeviceFiles
  /** Whether the agent runs in a container, which was given GPUs or was not. */
  readonly inContainer: () => boolean
  /** Has `reset` run whenever what is remembered of this machine must be forgotten. */
  readonly onForget: (reset: () => void) => void
  readonly forget: Effect.Effect<void>
}

export interface HostOptions {
  readonly root?: string
  readonly platform?: NodeJS.Platform
  readonly env?: NodeJS.ProcessEnv
  /** The directories in which tools are looked up; those of `env` by default. */
  readonly path?: string
  /** 5 s by default. */
  readonly deadline?: Duration.DurationInput
  /** 25 s by default: looks every 10 s then ask at every third. */
  readonly idleGoodFor?: Duration.DurationInput
  readonly inContainer?: () => boolean
}

export const make = (options: HostOptions = {}): Effect.Effect<Host> =>
  Effect.gen(function*() {
    const root = options.root ?? "/"
    const platform = options.platform ?? process.platform
    const env = options.env ?? process.env
    const files = () => deviceFiles(root)
    const tools = yield* Tool.make({ path: options.path ?? env["PATH"] ?? "", env, platform })
    const bus = yield* PciBus.make(files())
    const resets: Array<() => void> = []
    return {
      root,
      platform,
      env,
      deadline: Duration.decode(options.deadline ?? "5 seconds"),
      idleGoodFor: Duration.decode(options.idleGoodFor ?? "25 seconds"),
      tools,
      bus,
      files,
      inContainer: options.inContainer ?? (() => false),
      onForget: (reset) => {
        resets.push(reset)
      },
      forget: Effect.zipRight(
        Effect.all([tools.forget, bus.forget]),
        Effect.sync(() => {
          for (const reset of resets) reset()
        })
      )
    }
  })
