/** What the README tells people to type, and where it sends them. */
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import { bundle, runScript } from "./cli/CommandProcess.js"

const root = path.resolve(import.meta.dirname, "..")
const readme = fs.readFileSync(path.join(root, "README.md"), "utf8")
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
  readonly files: ReadonlyArray<string>
}

const lines = [...readme.matchAll(/^ *```sh\n([^]*?)^ *```$/gm)].flatMap(([, block]) => (block ?? "").split("\n"))
  .map((line) => line.trim())

describe("the README", () => {
  const commands = lines.filter((line) => line.startsWith("npx node-agent"))

  it("has commands to try", () => assert.isAbove(commands.length, 5))

  for (const line of commands) {
    it(`says \`${line}\`, which the command understands`, async () => {
      const args = line.split(/ +/).slice(2)
      if (args.includes("--help")) return assert.strictEqual((await runScript(bundle, args)).code, 0)
      if (args[0] === "capabilities") return assert.strictEqual((await runScript(bundle, [...args, "--help"])).code, 0)
      // All is understood and valid up to this last setting, which stops the command before it starts anything.
      const ended = await runScript(bundle, [...args, "--log-level", "no-such-level"])
      assert.strictEqual(ended.code, 78, ended.stderr)
      assert.include(ended.stderr, "--log-level")
    })
  }

  it("names only npm scripts that exist", () => {
    const named = [...readme.matchAll(/npm (?:run ([\w:-]+)|(start|test))/g)].map(([, script, short]) =>
      script ?? short
    )
    assert.includeMembers(Object.keys(manifest.scripts), named)
  })

  it("tests the way CI does", () => {
    assert.include(lines, "npm test")
    assert.strictEqual(manifest.scripts["test"], "vitest run")
    assert.match(fs.readFileSync(path.join(root, ".ci/run"), "utf8"), /vitest\.mjs run/)
  })

  it("names only subpaths that the package exports", () => {
    const section = /\| subpath \| holds \|\n([^]*?)\n\n/.exec(readme)?.[1] ?? ""
    const named = [...section.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell]) =>
      [...(cell ?? "").matchAll(/`([\w/.]+)`/g)].map(([, name]) => `./${name}`)
    )
    const exported = [...Object.keys(manifest.exports), "./proto/orchion/v1/orchestrator.proto"]
    assert.includeMembers(exported, named)
    assert.isAbove(named.length, 15)
  })

  it("shows examples as they are", () => {
    for (const [, name, code] of readme.matchAll(/<!-- example:([\w-]+) -->\n```ts\n([^]*?)```\n<!-- end -->/g)) {
      assert.strictEqual(code, fs.readFileSync(path.join(root, `examples/${name}.ts`), "utf8"))
    }
  })

  it("links to files that are in the package", () => {
    const targets = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, target]) => target ?? "")
    assert.isAbove(targets.length, 5)
    for (const target of targets) {
      assert.isTrue(fs.existsSync(path.join(root, target)), target)
      const isPacked = ["LICENSE", ...manifest.files].some((file) =>
        target === file || target.startsWith(`${file}/`)
        || target === `${file}/`
      )
      assert.isTrue(isPacked, `${target} is not among the package's files`)
    }
  })
})
