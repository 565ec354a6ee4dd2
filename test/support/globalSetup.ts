/** Before all tests: the command's bundle, as the tests that run the built command need it, and a Docker Engine. */
import { execFileSync } from "node:child_process"
import * as path from "node:path"
import * as dockerd from "./dockerd.js"

export default async function setup(): Promise<() => Promise<void>> {
  const root = path.resolve(import.meta.dirname, "../..")
  execFileSync(process.execPath, [path.join(root, "scripts/bundle.js")], { cwd: root, stdio: "inherit" })
  return dockerd.startForRun(root)
}
