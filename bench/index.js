// Builds the command and runs every benchmark of this folder, one after the other.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}

run("scripts/bundle.js")
for (const file of fs.readdirSync(import.meta.dirname).sort()) {
  if (file.endsWith(".js") && file !== path.basename(import.meta.filename)) run(path.join("bench", file))
}
