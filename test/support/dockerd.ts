/**
 * A Docker Engine of the tests' own: its socket and its data in a temporary folder, a bridge for its network, and
 * nothing left behind.
 *
 * The host's firewall is not touched: published ports go through Docker's own proxy.
 */
import { execFile, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as http from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import * as images from "./images.js"

/** An engine that runs. */
export interface Engine {
  /** The path of its socket. */
  readonly socket: string
  /** As one names it to a client. */
  readonly host: string
  /** Its folder. */
  readonly directory: string
  /** The daemon's process. */
  readonly pid: () => number
  /** Ends the daemon and begins it anew on the same data: `SIGKILL` leaves its containers running meanwhile. */
  readonly restart: (signal?: NodeJS.Signals) => Promise<void>
  /** Ends the daemon only. */
  readonly down: (signal?: NodeJS.Signals) => Promise<void>
  /** Begins the daemon again. */
  readonly up: () => Promise<void>
  /** Ends it and removes all it made. */
  readonly stop: () => Promise<void>
}

const prefix = "orchion-dockerd-"
const run = promisify(execFile)
const quietly = async (command: string, ...args: ReadonlyArray<string>) => {
  await run(command, [...args]).catch(() => undefined)
}

/** Whether one can be started here, and if not, why. */
export const missing = async (): Promise<string | undefined> => {
  if (process.platform !== "linux") return "only Linux has dockerd"
  if (process.getuid?.() !== 0) return "starting dockerd takes root"
  for (const command of ["dockerd", "containerd", "runc", "ip"]) {
    const found = await run("sh", ["-c", `command -v ${command}`]).then(() => true, () => false)
    if (!found) return `${command} is not installed`
  }
  return undefined
}

/** Whether the engine answers. */
export const answers = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ socketPath: socket, path: "/_ping", timeout: 5_000, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on("timeout", () => request.destroy())
    request.on("error", () => resolve(false))
  })

/** Also an ended process that nobody has taken note of is none. */
const isAlive = (pid: number): boolean => {
  try {
    // What follows the name in parentheses begins with the state.
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

const readPid = async (file: string): Promise<number | undefined> => {
  const pid = Number(await fs.readFile(file, "utf8").catch(() => ""))
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}

const until = async (what: string, limit: number, condition: () => boolean | Promise<boolean>): Promise<void> => {
  const end = Date.now() + limit
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limit} ms`)
    await sleep(50)
  }
}

/** Processes whose command line names the folder: shims and the containers' proxies among them. */
const processesOf = async (directory: string): Promise<Array<number>> => {
  const found: Array<number> = []
  for (const name of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    const line = await fs.readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")
    const program = path.basename(line.split("\0")[0] ?? "")
    if (/^(dockerd|containerd.*|docker-proxy)$/.test(program) && line.includes(directory)) found.push(Number(name))
  }
  return found
}

const removeAll = async (directory: string, bridge: string | undefined): Promise<void> => {
  for (const pid of await processesOf(directory)) {
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // It was quicker.
    }
  }
  await until("the engine's processes end", 10_000, async () => (await processesOf(directory)).length === 0)
  const mounts = (await fs.readFile("/proc/self/mountinfo", "utf8")).split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((mount) => mount.startsWith(`${directory}/`))
  for (const mount of mounts.reverse()) await quietly("umount", "-l", mount)
  if (bridge !== undefined && bridge !== "") await quietly("ip", "link", "del", bridge)
  await fs.rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}

/** Where dockerd puts things whatever it is told; made by ours, they go with it when nobody else uses them. */
const stray = ["/run/docker/plugins", "/run/docker"]

/** The folders of {@link stray} that are there now. */
const strayNow = async (): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  for (const directory of stray) {
    if (await fs.stat(directory).then(() => true, () => false)) found.push(directory)
  }
  return found
}

/** Settings that no option sets: older daemons keep a key in a folder of their own choice, newer ones have none. */
const settings = async (directory: string): Promise<string> => {
  const { stdout } = await run("dockerd", ["--version"])
  const major = Number(/version (\d+)/.exec(stdout)?.[1] ?? 99)
  return JSON.stringify(major <= 23 ? { "deprecated-key-path": path.join(directory, "key.json") } : {})
}

/** What test runs that were killed have left. */
const sweep = async (): Promise<void> => {
  for (const name of await fs.readdir(os.tmpdir())) {
    if (!name.startsWith(prefix)) continue
    const directory = path.join(os.tmpdir(), name)
    const owner = await readPid(path.join(directory, "owner"))
    if (owner === undefined || isAlive(owner)) continue
    const bridge = await fs.readFile(path.join(directory, "bridge"), "utf8").catch(() => undefined)
    const pid = await readPid(path.join(directory, "dockerd.pid"))
    if (pid !== undefined && isAlive(pid)) {
      process.kill(pid, "SIGTERM")
      await until("dockerd ends", 20_000, () => !isAlive(pid)).catch(() => undefined)
    }
    await removeAll(directory, bridge)
  }
}

/** A bridge for the engine's network, in a subnet that no route leads to yet. */
const makeBridge = async (): Promise<string> => {
  const { stdout } = await run("ip", ["route"])
  for (let attempt = 0; attempt < 50; attempt++) {
    const third = Math.floor(Math.random() * 256)
    const subnet = `10.213.${third}`
    if (stdout.includes(`${subnet}.`)) continue
    const name = `orchion${third}`
    const made = await run("ip", ["link", "add", "name", name, "type", "bridge"]).then(() => true, () => false)
    if (!made) continue
    await run("ip", ["addr", "add", `${subnet}.1/24`, "dev", name])
    await run("ip", ["link", "set", name, "up"])
    return name
  }
  throw new Error("no free subnet for a bridge was found")
}

export interface StartOptions {
  /** A folder that comes first on its `PATH`: there it finds the hooks of container toolkits, for one. */
  readonly path?: string | undefined
}

/** Starts one and waits until it answers. */
export const start = async (options: StartOptions = {}): Promise<Engine> => {
  await sweep()
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), prefix))
  await fs.writeFile(path.join(directory, "owner"), String(process.pid))
  const bridge = await makeBridge()
  await fs.writeFile(path.join(directory, "bridge"), bridge)
  const socket = path.join(directory, "docker.sock")
  await fs.writeFile(path.join(directory, "daemon.json"), await settings(directory))
  const before = await strayNow()
  let pid = 0
  const up = async () => {
    const log = await fs.open(path.join(directory, "dockerd.log"), "a")
    const daemon = spawn("dockerd", [
      "--host",
      `unix://${socket}`,
      "--data-root",
      path.join(directory, "data"),
      "--exec-root",
      path.join(directory, "exec"),
      "--pidfile",
      path.join(directory, "dockerd.pid"),
      "--config-file",
      path.join(directory, "daemon.json"),
      "--bridge",
      bridge,
      "--iptables=false",
      "--ip-forward=false",
      "--ip-masq=false"
      // A group of its own: Ctrl-C at the test runner is the runner's to handle.
    ], {
      stdio: ["ignore", log.fd, log.fd],
      detached: true,
      env: options.path === undefined ? process.env : { ...process.env, PATH: `${options.path}:${process.env["PATH"]}` }
    })
    daemon.unref()
    let failed: Error | undefined
    daemon.on("error", (error) => {
      failed = error
    })
    await log.close()
    pid = daemon.pid ?? 0
    const ended = () => failed !== undefined || daemon.exitCode !== null || daemon.signalCode !== null
    await until("dockerd answers", 60_000, async () => ended() || answers(socket))
    if (ended()) {
      const text = await fs.readFile(path.join(directory, "dockerd.log"), "utf8")
      throw new Error(`dockerd did not start: ${failed?.message ?? text.split("\n").slice(-5).join("\n")}`)
    }
  }
  const down = async (signal: NodeJS.Signals = "SIGTERM") => {
    if (isAlive(pid)) process.kill(pid, signal)
    await until("dockerd ends", 30_000, () => !isAlive(pid))
    // A daemon that was killed leaves files that the next would take for running processes'.
    await fs.rm(path.join(directory, "dockerd.pid"), { force: true })
    const containerd = path.join(directory, "exec/containerd/containerd.pid")
    await until("containerd ends", 10_000, async () => {
      const pid = await readPid(containerd)
      return pid === undefined || !isAlive(pid)
    })
    await fs.rm(containerd, { force: true })
  }
  const stop = async () => {
    await down().catch(() => undefined)
    await removeAll(directory, bridge)
    for (const folder of stray) {
      // Only an empty one goes.
      if (!before.includes(folder)) await fs.rmdir(folder).catch(() => undefined)
    }
  }
  try {
    await up()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    socket,
    host: `unix://${socket}`,
    directory,
    pid: () => pid,
    down,
    up,
    restart: async (signal) => {
      await down(signal)
      await up()
    },
    stop
  }
}

/** Test files that need an engine, of those that the run is about, as its command line says. */
const selected = async (root: string): Promise<ReadonlyArray<string>> => {
  const filters = process.argv.slice(2).filter((argument) =>
    !argument.startsWith("-") && !/^(run|watch)$/.test(argument)
  )
  const files = await fs.readdir(path.join(root, "test"), { recursive: true })
  return files.map((file) => path.join("test", file)).filter((file) =>
    file.endsWith(".docker.test.ts") && (filters.length === 0 || filters.some((filter) => file.includes(filter)))
  )
}

/**
 * For the test run's global setup: one engine for all suites, started only when one of them is to run and can be had
 * here. Answers with what ends it.
 */
export const startForRun = async (root: string): Promise<() => Promise<void>> => {
  const nothing = () => Promise.resolve()
  if ((process.env["ORCHION_TEST_DOCKER_SOCKET"] ?? "") !== "") return nothing
  if ((await selected(root)).length === 0 || (await missing() ?? await images.missing()) !== undefined) return nothing
  const engine = await start()
  process.env["ORCHION_TEST_DOCKER_SOCKET"] = engine.socket
  return async () => {
    delete process.env["ORCHION_TEST_DOCKER_SOCKET"]
    await engine.stop()
  }
}
