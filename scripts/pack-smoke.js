// Tries the package as users get it: packs it (or takes the tarball that is named) and installs it into empty folders
// without running install scripts. In one there is the command alone, which runs until it has registered and stopped
// again. In the other it is a library beside the oldest `effect` that it works with, and a program is compiled against it
// without `skipLibCheck` and run.
//
//   node scripts/pack-smoke.js [--tarball FILE] [--node NODE_BINARY]
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"

const root = path.resolve(import.meta.dirname, "..")
const { values } = parseArgs({ options: { tarball: { type: "string" }, node: { type: "string" } } })
const node = path.resolve(values.node ?? process.execPath)
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const { version } = manifest

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

/** Installs packages into a new folder; npm must have nothing to warn of. */
const install = (name, packages) => {
  const place = path.join(folder, name)
  fs.mkdirSync(place)
  fs.writeFileSync(path.join(place, "package.json"), "{ \"private\": true, \"type\": \"module\" }\n")
  const { status, stderr } = spawnSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...packages], {
    cwd: place,
    env,
    encoding: "utf8"
  })
  check(status === 0, `npm install ${packages.join(" ")} fails:\n${stderr}`)
  const warnings = stderr.split("\n").filter((line) => /\bwarn\b/i.test(line) && !/notice|EBADENGINE/i.test(line))
  check(warnings.length === 0, `npm install ${packages.join(" ")} warns:\n${warnings.join("\n")}`)
  return place
}

/** Runs a script in a place; it must end with 0 and write nothing to standard error. */
const quietly = (what, place, args) => {
  const { status, stderr, stdout } = spawnSync(node, args, { cwd: place, env, encoding: "utf8" })
  check(status === 0 && stderr === "", `${what}:\n${stdout}${stderr}`)
  return stdout
}

const library = (tarball) => {
  const oldest = manifest.peerDependencies.effect.replace("^", "")
  const place = install("library", [tarball, `effect@${oldest}`])
  // The compiler and Node's types are this repository's.
  fs.mkdirSync(path.join(place, "node_modules/@types"))
  for (const name of ["@types/node", "undici-types", "typescript"]) {
    fs.cpSync(fs.realpathSync(path.join(root, "node_modules", name)), path.join(place, "node_modules", name), {
      recursive: true
    })
  }
  const modules = Object.keys(manifest.exports)
    .filter((name) => typeof manifest.exports[name] === "object")
    .map((name) => `@orchion/node-agent${name.slice(1)}`)
  fs.writeFileSync(
    path.join(place, "all.ts"),
    modules.map((name, index) => `import * as all${index} from "${name}"\nvoid all${index}\n`).join("")
  )
  const examples = fs.readdirSync(path.join(root, "examples")).filter((name) => name.endsWith(".ts"))
  for (const name of examples) fs.copyFileSync(path.join(root, "examples", name), path.join(place, name))
  quietly("the library's types", place, [
    "node_modules/typescript/bin/tsc",
    ...["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipLibCheck", "false"],
    ...["--target", "ES2022", "--module", "NodeNext", "--types", "node", "all.ts", ...examples]
  ])
  quietly("the library's modules", place, ["all.js"])
  const said = quietly("an example", place, ["show-capabilities.js"])
  check(/^\d+ threads/.test(said), `show-capabilities says ${said}`)
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
  const place = install("command", [tarball])
  const installed = fs.readdirSync(path.join(place, "node_modules")).filter((name) => !name.startsWith("."))
  check(installed.join() === "@orchion", `the command brings ${installed.join(", ")} along`)

  const command = path.join(place, "node_modules/.bin/node-agent")
  const said = execFileSync(command, ["--version"], { cwd: place, env, encoding: "utf8" }).trim()
  check(said.includes(version), `--version says ${JSON.stringify(said)}, not ${version}`)

  library(tarball)

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
