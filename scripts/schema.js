// Writes schema/capabilities.schema.json, the JSON Schema of `node-agent capabilities --json`: its shape from the
// model, its descriptions from the model's comments. With --check it writes nothing and fails when what is committed
// differs from what would be written.
import * as fs from "node:fs"
import * as path from "node:path"
import { build } from "esbuild"
import ts from "typescript"

const root = path.resolve(import.meta.dirname, "..")
const file = path.join(root, "schema/capabilities.schema.json")
const model = path.join(root, "src/node/CapabilitiesSchema.ts")

const { outputFiles } = await build({
  entryPoints: [path.join(root, "src/node/CapabilitiesJsonSchema.ts")],
  bundle: true,
  platform: "node",
  format: "esm",
  write: false,
  logLevel: "warning"
})
const source = Buffer.from(outputFiles[0].contents).toString("base64")
const { make } = await import(`data:text/javascript;base64,${source}`)

/** The comment before a node of the model's source, as one paragraph of plain text. */
const commentOf = (node) =>
  ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc)
    .map((comment) => ts.getTextOfJSDocComment(comment.comment) ?? "").join(" ")
    .replace(/\{@link ([^}]+)\}/g, "$1").replace(/\s+/g, " ").trim()

/** What the model's comments say of each class, and of each of its fields. */
const comments = new Map()
for (
  const statement of ts.createSourceFile(model, fs.readFileSync(model, "utf8"), ts.ScriptTarget.Latest, true).statements
) {
  if (!ts.isClassDeclaration(statement) || statement.name === undefined) continue
  const fields = new Map()
  const visit = (node) => {
    if (ts.isPropertyAssignment(node)) fields.set(node.name.getText(), commentOf(node))
    else ts.forEachChild(node, visit)
  }
  ts.forEachChild(statement, visit)
  comments.set(statement.name.text, { about: commentOf(statement), fields })
}

const { $defs, $ref, $schema } = make()
const nameIn = (ref) => ref.replace("#/$defs/", "")

/** Small definitions stand where they are used: what is beside a `$ref` has no meaning in draft 7. */
const inline = ({ $ref, description: _generic, title: _name, ...schema }) => {
  const items = schema.items === undefined ? {} : { items: inline(schema.items) }
  if ($ref === undefined) return { ...schema, ...items }
  return comments.has(nameIn($ref)) ? { $ref } : { ...inline($defs[nameIn($ref)]), ...schema }
}

/** With the model's descriptions, and open to what later versions add. */
const define = (name) => {
  const { about, fields } = comments.get(name)
  const { properties, required, type } = $defs[name]
  const described = Object.entries(properties).map(([field, property]) => {
    const shape = inline(property)
    const description = fields.get(field) ?? ""
    return [field, description === "" || shape.$ref !== undefined ? shape : { description, ...shape }]
  })
  return { description: about, type, required, properties: Object.fromEntries(described) }
}

const schema = {
  $schema,
  title: "What `node-agent capabilities --json` prints",
  description: "A field that is absent is unknown. Later versions may add fields.",
  allOf: [{ $ref }],
  $defs: Object.fromEntries(Object.keys($defs).filter((name) => comments.has(name)).map((name) => [name, define(name)]))
}
const text = `${JSON.stringify(schema, null, 2)}\n`

if (!process.argv.includes("--check")) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
} else if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== text) {
  console.error("schema/capabilities.schema.json is stale: run `npm run schema` and commit the result")
  process.exit(1)
}
