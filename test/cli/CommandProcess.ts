/** The built command as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export const bundle = path.resolve(import.meta.dirname, "../../dist/bin/node-agent.js")

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandProcess {
  readonly pid: number
  /** Both outputs so far. */
  readonly output: () => string
  /** Waits until the output matches; fails with the output when the process ends first. */
  readonly until: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly kill: (signal: NodeJS.Signals) => void
  /** Nobody reads its standard output any more. */
  readonly closeOutput: () => void
  readonly ended: Promise<Ended>
}

const running = new Set<ChildProcess>()

/** A process that a failing test left behind must not outlive the test run. */
export const killAll = (): void => running.forEach((child) => child.kill("SIGKILL"))

const folders = new Set<string>()

/** An empty folder that `removeFolders` removes. */
export const temporaryFolder = (): string => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-test-"))
  folders.add(folder)
  return folder
}

export const removeFolders = (): void => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true })
  folders.clear()
}

export const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): CommandProcess =>
  startScript(bundle, args, env)

/** Another script of ours, run by the same Node. */
export const startScript = (
  script: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): CommandProcess => {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ORCHION_")))
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...inherited, NO_COLOR: "1", ...env },
    stdio: "pipe"
  })
  running.add(child)
  let stdout = ""
  let stderr = ""
  const listeners = new Set<() => void>()
  const heard = () => listeners.forEach((listener) => listener())
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    heard()
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
    heard()
  })
  const ended = new Promise<Ended>((resolve) =>
    child.once("close", (code, signal) => {
      running.delete(child)
      resolve({ code, signal, stdout, stderr })
    })
  )
  const output = () => stdout + stderr
  return {
    pid: child.pid ?? -1,
    output,
    ended,
    kill: (signal) => void child.kill(signal),
    closeOutput: () => void child.stdout.destroy(),
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(output())
          if (found === null) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        look()
        void ended.then(() => {
          look()
          if (listeners.has(look)) reject(new Error(`ended without ${pattern}: ${output()}`))
        })
      })
  }
}

/** Runs the command to its end. */
export const run = (args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>): Promise<Ended> =>
  start(args, env).ended

export const runScript = (script: string, args: ReadonlyArray<string>): Promise<Ended> =>
  startScript(script, args).ended
