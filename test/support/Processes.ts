/** Child processes that end with the test. */
import { type ChildProcess, spawn } from "node:child_process"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Process {
  readonly pid: number
  /** The first match of a pattern in what it has written to stdout and stderr; waits for it. */
  readonly says: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** How it ended; waits for that. */
  readonly ended: Effect.Effect<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  readonly output: () => string
}

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly uid?: number
}

/** The command as it is built. */
export const nodeAgent = path.resolve(import.meta.dirname, "../../dist/bin/node-agent.js")

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

/** Runs Node with these arguments. */
export const node = (
  args: ReadonlyArray<string>,
  options: StartOptions = {}
): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.gen(function*() {
    let output = ""
    const listeners = new Set<() => void>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], ...options })
        for (const stream of [child.stdout, child.stderr]) {
          stream.setEncoding("utf8")
          stream.on("data", (text: string) => {
            output += text
            for (const listener of listeners) listener()
          })
        }
        return child
      }),
      (child) =>
        Effect.async<void>((resume) => {
          if (hasEnded(child)) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          // Ends a stopped process too.
          child.kill("SIGKILL")
        })
    )
    return {
      pid: child.pid ?? 0,
      output: () => output,
      says: (pattern) =>
        Effect.async<RegExpExecArray>((resume) => {
          const look = () => {
            const match = pattern.exec(output)
            if (match !== null) resume(Effect.succeed(match))
          }
          listeners.add(look)
          look()
          return Effect.sync(() => listeners.delete(look))
        }).pipe(
          Effect.timeout("20 seconds"),
          Effect.orDieWith(() => new Error(`The process never said ${pattern}; it said:\n${output}`))
        ),
      signal: (signal) => Effect.sync(() => void child.kill(signal)),
      ended: Effect.async((resume) => {
        const tell = () => resume(Effect.succeed({ code: child.exitCode, signal: child.signalCode }))
        if (hasEnded(child)) return tell()
        child.once("exit", tell)
        return Effect.sync(() => void child.off("exit", tell))
      })
    }
  })
