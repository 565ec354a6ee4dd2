/** Before all tests: the command's bundle, as the tests that run the built command need it. */
import { execFileSync } from "node:child_process"
import * as path from "node:path"

export default function setup(): void {
  const root = path.resolve(import.meta.dirname, "../..")
  execFileSync(process.execPath, [path.join(root, "scripts/bundle.js")], { cwd: root, stdio: "inherit" })
}
