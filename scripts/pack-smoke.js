// Tries the package as a user gets it: packs it (or takes the tarball that is named), installs it into an empty folder
// without running install scripts, and runs the command from there until it has registered and stopped again.
//
//   node scripts/pack-smoke.js [--tarball FILE] [--node NODE_BINARY]
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"

const root = path.resolve(import.meta.dirname, "..")
const { values } = parseArgs({ options: { tarball: { type: "string" }, node: { type: "string" } } })
const node = path.resolve(values.node ?? process.execPath)
const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-smoke-"))
const state = path.join(folder, "state")
const temporary = path.join(folder, "tmp")
fs.mkdirSync(temporary)
// `env node`, npm included, finds the Node under test first.
const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env["PATH"] ?? ""}` }

const check = (condition, problem) => {
  if (!condition) throw new Error(problem)
}

const until = async (what, milliseconds, attempt) => {
  const deadline = Date.now() + milliseconds
  for (;;) {
    const value = await attempt()
    if (value !== undefined) return value
    check(Date.now() < deadline, `${what}: not within ${milliseconds / 1000} s`)
    await sleep(50)
  }
}

const pack = () => {
  const output = execFileSync("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })
  return path.join(folder, JSON.parse(output.slice(output.indexOf("[")))[0].filename)
}

const isGroupAlive = (pid) => {
  try {
    process.kill(-pid, 0)
    return true
  } catch {
    return false
  }
}

let child
let output = ""
try {
  const tarball = values.tarball === undefined ? pack() : path.resolve(values.tarball)
  const place = path.join(folder, "place")
  fs.mkdirSync(place)
  fs.writeFileSync(path.join(place, "package.json"), "{ \"private\": true, \"type\": \"module\" }\n")
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", tarball], {
    cwd: place,
    env,
    stdio: ["ignore", "ignore", "inherit"]
  })

  const command = path.join(place, "node_modules/.bin/node-agent")
  const said = execFileSync(command, ["--version"], { cwd: place, env, encoding: "utf8" }).trim()
  check(said.includes(version), `--version says ${JSON.stringify(said)}, not ${version}`)

  // The library loads, by its name and by every subpath.
  const { exports } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
  const modules = Object.keys(exports)
    .filter((name) => typeof exports[name] === "object")
    .map((name) => `@orchion/node-agent${name.slice(1)}`)
  execFileSync(node, ["--input-type=module", "--eval", modules.map((name) => `await import("${name}")`).join("\n")], {
    cwd: place,
    env,
    stdio: ["ignore", "inherit", "inherit"]
  })

  const started = Date.now()
  child = spawn(
    command,
    ["dev", "--port", "0", "--http-port", "0", "--agent-port", "0", "--state-dir", state, "--log-format", "json"],
    {
      cwd: place,
      env: { ...env, HOME: temporary, TMPDIR: temporary },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    }
  )
  const ended = once(child, "exit")
  child.stdout.on("data", (chunk) => output += chunk)
  child.stderr.on("data", (chunk) => output += chunk)

  const page = await until("the address of the page", 30_000, () => {
    check(child.exitCode === null, `dev ended with code ${child.exitCode}`)
    return /http:\/\/[\w.:[\]]+\//.exec(output)?.[0]
  })
  const registered = await until("the node in /api/nodes", 30_000, async () => {
    const answer = await fetch(new URL("/api/nodes", page), { signal: AbortSignal.timeout(5_000) })
    check(answer.ok, `/api/nodes answers ${answer.status}`)
    const body = await answer.json()
    return (Array.isArray(body) ? body : body.nodes).find((one) => one.stale !== true)
  })
  const took = Date.now() - started

  const stopping = Date.now()
  child.kill("SIGTERM")
  const [code, signal] = await Promise.race([
    ended,
    sleep(10_000, undefined, { ref: false }).then(() => {
      throw new Error("dev runs 10 s after SIGTERM")
    })
  ])
  check(code === 0, `dev ended with ${signal ?? `code ${code}`}, not code 0`)
  const stopped = Date.now() - stopping
  check(!isGroupAlive(child.pid), "dev left processes behind")
  const left = fs.readdirSync(temporary)
  check(left.length === 0, `dev left ${left.join(", ")} in the temporary folder`)
  const kept = fs.readdirSync(state)
  check(kept.join() === "node-id", `the state directory holds ${kept.join(", ")} after the stop`)

  const nodeVersion = execFileSync(node, ["--version"], { encoding: "utf8" }).trim()
  console.log(
    `ok: ${
      path.basename(tarball)
    } on Node ${nodeVersion}: ${registered.id} registered after ${took} ms, stopped after ${stopped} ms`
  )
} catch (error) {
  console.error(`FAILED: the packed package: ${error.message}`)
  if (output !== "") console.error(output)
  process.exitCode = 1
} finally {
  if (child?.pid !== undefined && isGroupAlive(child.pid)) process.kill(-child.pid, "SIGKILL")
  fs.rmSync(folder, { recursive: true, force: true })
}
