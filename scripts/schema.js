// Writes schema/capabilities.schema.json, the JSON Schema of `node-agent capabilities --json`. With --check it writes
// nothing and fails when what is committed differs from what would be written.
import * as fs from "node:fs"
import * as path from "node:path"
import { build } from "esbuild"

const root = path.resolve(import.meta.dirname, "..")
const file = path.join(root, "schema/capabilities.schema.json")

const { outputFiles } = await build({
  entryPoints: [path.join(root, "src/capabilities/CapabilitiesJsonSchema.ts")],
  bundle: true,
  platform: "node",
  format: "esm",
  write: false,
  logLevel: "warning"
})
const source = Buffer.from(outputFiles[0].contents).toString("base64")
const { make } = await import(`data:text/javascript;base64,${source}`)
const text = `${JSON.stringify(make(), null, 2)}\n`

if (!process.argv.includes("--check")) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
} else if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== text) {
  console.error("schema/capabilities.schema.json is stale: run `npm run schema` and commit the result")
  process.exit(1)
}
