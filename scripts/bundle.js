// Bundles the command into one file, dist/bin/node-agent.js.
import * as fs from "node:fs"
import * as path from "node:path"
import { build } from "esbuild"

const root = path.resolve(import.meta.dirname, "..")
const outfile = path.join(root, "dist/bin/node-agent.js")

/**
 * dockerode loads an SSH client whether one is needed or not. The agent manages this machine's engine only, and refuses
 * ssh:// endpoints before dockerode sees them; the client would cost memory, and does not work when it is bundled.
 */
const withoutSsh = {
  name: "without-ssh",
  setup(bundle) {
    bundle.onResolve({ filter: /^ssh2$/ }, () => ({ path: "ssh2", namespace: "none" }))
    bundle.onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "module.exports = {}" }))
  }
}

const result = await build({
  entryPoints: [path.join(root, "src/bin.ts")],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20.19",
  // Shortened names would cost 12 MB of memory: V8 compiles the functions of such code sooner than they are needed.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "linked",
  metafile: true,
  logLevel: "warning",
  plugins: [withoutSsh],
  // Native parts that their packages do without when they are missing.
  external: ["*.node"],
  banner: {
    js: "#!/usr/bin/env node\n"
      // CommonJS dependencies require Node's own modules.
      + "import { createRequire as __createRequire } from \"node:module\";const require = __createRequire(import.meta.url);"
  }
})
fs.chmodSync(outfile, 0o755)

if (process.argv.includes("--analyze")) {
  const { analyzeMetafile } = await import("esbuild")
  console.log(await analyzeMetafile(result.metafile))
}
