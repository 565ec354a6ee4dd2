// Runs every check of package.json, two at a time, and shows the output of those that fail.
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const { scripts } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const waiting = Object.keys(scripts).filter((name) => name.startsWith("check:"))

const run = (name) =>
  new Promise((resolve) => {
    const started = Date.now()
    const output = []
    const child = spawn("npm", ["run", "--silent", name], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
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
