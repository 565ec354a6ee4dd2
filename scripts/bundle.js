// Bundles the command into dist/bin: the launcher `node-agent.js`, the command itself `command.cjs`, and beside it a
// file for each library that most runs never load.
//
//   node scripts/bundle.js [--analyze]
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { analyzeMetafile, build } from "esbuild"
import * as bundling from "./bundling.js"

const { plugins, root } = bundling
const out = path.join(root, "dist/bin")
const require = createRequire(import.meta.url)

/** Loaded with `import()` where they are used: Docker by agents with containers, systeminformation on Windows. */
const apart = ["dockerode", "systeminformation"]

/** Modules of Node that a start does without; each costs up to 2 ms. */
const deferred = ["child_process", "crypto", "dgram", "https", "readline", "v8", "zlib"]

const filesApart = {
  name: "files-apart",
  setup(bundle) {
    bundle.onResolve({ filter: new RegExp(`^(?:${apart.join("|")})$`) }, ({ path: name }) => ({
      path: `./${name}.cjs`,
      external: true
    }))
  }
}

/** Replaces a module of Node by one whose exports load it when they are first read. */
const loadedAtFirstUse = {
  name: "loaded-at-first-use",
  setup(bundle) {
    bundle.onResolve(
      { filter: new RegExp(`^(?:node:)?(?:${deferred.join("|")})$`) },
      ({ namespace, path: name }) =>
        namespace === "deferred"
          ? { path: name, external: true }
          : { path: name.replace(/^node:/, ""), namespace: "deferred" }
    )
    bundle.onLoad({ filter: /.*/, namespace: "deferred" }, ({ path: name }) => ({
      contents: `let loaded\nconst load = () => loaded ??= require("node:${name}")\n`
        + Object.keys(require(`node:${name}`))
          .map((key) =>
            `Object.defineProperty(exports, ${JSON.stringify(key)}, { enumerable: true, get: () => load()[${
              JSON.stringify(key)
            }] })\n`
          ).join("")
    }))
  }
}

// `import()` becomes `require`: a script with a code cache has no loader for it.
const options = { ...bundling.options, supported: { "dynamic-import": false } }

fs.rmSync(out, { recursive: true, force: true })
fs.mkdirSync(out, { recursive: true })
const command = path.join(out, "command.cjs")
const results = await Promise.all([
  build({
    ...options,
    entryPoints: [path.join(root, "src/bin.ts")],
    outfile: command,
    plugins: [...plugins, filesApart, loadedAtFirstUse]
  }),
  ...apart.map((name) =>
    build({
      ...options,
      stdin: { contents: `module.exports = require(${JSON.stringify(name)})`, resolveDir: root },
      outfile: path.join(out, `${name}.cjs`),
      plugins
    })
  )
])
bundling.writeLicenses(path.join(out, "THIRD-PARTY-LICENSES.txt"), results)

const hash = crypto.createHash("sha256").update(fs.readFileSync(command)).digest("hex").slice(0, 12)
const launcher = path.join(out, "node-agent.js")
fs.writeFileSync(path.join(out, "package.json"), "{ \"type\": \"commonjs\" }\n")
fs.writeFileSync(
  launcher,
  fs.readFileSync(path.join(root, "src/launcher.cjs"), "utf8").replace("__BUNDLE_HASH__", hash)
)
fs.chmodSync(launcher, 0o755)

if (process.argv.includes("--analyze")) {
  for (const { metafile } of results) console.log(await analyzeMetafile(metafile))
}
