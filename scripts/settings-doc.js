// Writes README's tables of settings from the settings themselves; with --check fails when a row differs, naming it.
import * as fs from "node:fs"
import * as path from "node:path"
import { build } from "esbuild"

const root = path.resolve(import.meta.dirname, "..")
const readme = path.join(root, "README.md")

/** The tables as the code has them, bundled so that the sources need no compilation. */
const load = async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        export { commands } from "./src/cli/Commands.js"
        export { environmentVariable } from "./src/config/Source.js"
        export { table as orchestrator } from "./src/embedded/OrchestratorSettings.js"
      `,
      resolveDir: root,
      loader: "ts"
    },
    bundle: true,
    platform: "node",
    format: "esm",
    write: false,
    logLevel: "error"
  })
  return await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`)
}

const { commands, environmentVariable, orchestrator } = await load()

const escaped = (text) => text.replaceAll("|", "\\|")

const row = ({ defaultNote, defaultText, description, isSwitch, kind, name }) => {
  const fallback = isSwitch
    ? "off"
    : defaultText !== undefined
    ? `\`${defaultText}\``
    : kind === "many"
    ? "none"
    : defaultNote
  return `| \`--${name}\` | ${escaped(fallback)} | \`${environmentVariable(name)}\` | ${escaped(description)} |`
}

const header = ["| flag | default | environment | |", "| --- | --- | --- | --- |"]

/** The marked regions of the README, by their names. */
const regions = {
  agent: [...header, ...Object.values(commands.run.settings).map(row)],
  orchestrator: [...header, ...Object.values(orchestrator).map(row)]
}

const isCheck = process.argv.includes("--check")
let text = fs.readFileSync(readme, "utf8")
const problems = []
for (const [name, lines] of Object.entries(regions)) {
  const pattern = new RegExp(`(<!-- settings:${name} -->\n)([^]*?)(<!-- end -->)`)
  const found = pattern.exec(text)
  if (found === null) {
    problems.push(`README.md has no region <!-- settings:${name} --> … <!-- end -->`)
    continue
  }
  const there = found[2].trimEnd().split("\n")
  for (const line of lines) if (!there.includes(line)) problems.push(`README.md lacks this row: ${line}`)
  for (const line of there) {
    if (!lines.includes(line)) problems.push(`README.md has a row that the code has not: ${line}`)
  }
  if (problems.length === 0 && there.join() !== lines.join()) problems.push(`the rows of ${name} are in another order`)
  text = text.replace(pattern, (_, begin, _rows, end) => `${begin}${lines.join("\n")}\n${end}`)
}

if (!isCheck) fs.writeFileSync(readme, text)
else if (problems.length > 0) {
  for (const problem of problems) console.error(problem)
  console.error("run: node scripts/settings-doc.js")
  process.exitCode = 1
}
