// Runs every check of package.json, two at a time, and shows the output of those that fail.
//
//   node scripts/check.js [--quick]
//
// --quick leaves out what takes long, reads types again only where something changed, and lints changed files only.
import { execFileSync, spawn } from "node:child_process"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const { scripts } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const isQuick = process.argv.includes("--quick")

/** Files that differ from the last commit. */
const changed = () =>
  execFileSync("git", ["status", "--porcelain", "--no-renames", "--untracked-files=all"], {
    cwd: root,
    encoding: "utf8"
  })
    .split("\n").map((line) => line.slice(3))
    .filter((file) => /\.(?:ts|js)$/.test(file) && fs.existsSync(path.join(root, file)))

/** What earlier runs found out, outside the tree. */
const cache = path.join(
  process.env["XDG_CACHE_HOME"] || path.join(os.homedir(), ".cache"),
  "orchion-node-agent-checks",
  crypto.createHash("sha256").update(root).digest("hex").slice(0, 12)
)

/** Name and command of each check. */
const waiting = isQuick
  ? [
    ["types", ["tsc", "--noEmit", "--incremental", "--tsBuildInfoFile", path.join(cache, "types.tsbuildinfo")]],
    ["floors", ["node", "scripts/check-floors.js"]],
    ["lint", [
      "eslint",
      "--max-warnings",
      "0",
      "--no-warn-ignored",
      "--cache",
      "--cache-location",
      cache + "/",
      ...changed()
    ]]
  ].filter(([name, command]) => name !== "lint" || /\.(?:ts|js)$/.test(command.at(-1)))
  : Object.keys(scripts).filter((name) => name.startsWith("check:") && name !== "check:quick")
    .map((name) => [name, ["npm", "run", "--silent", name]])
const env = { ...process.env, PATH: `${path.join(root, "node_modules/.bin")}${path.delimiter}${process.env["PATH"]}` }

const run = ([name, [command, ...args]]) =>
  new Promise((resolve) => {
    const started = Date.now()
    const output = []
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] })
    child.stdout.on("data", (chunk) => output.push(chunk))
    child.stderr.on("data", (chunk) => output.push(chunk))
    child.on("error", (error) => output.push(Buffer.from(`${error.message}\n`)))
    child.on("close", (code) => {
      console.log(`${code === 0 ? "ok    " : "FAILED"} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
      if (code !== 0) process.stdout.write(Buffer.concat(output))
      resolve(code === 0)
    })
  })

const worker = async () => {
  let passed = true
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) passed = await run(name) && passed
  return passed
}

const results = await Promise.all([worker(), worker()])
if (results.includes(false)) process.exitCode = 1
