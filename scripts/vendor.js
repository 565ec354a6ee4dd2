// Puts the third-party libraries that dist/lib uses into dist/lib/vendor, each as one file with the types that our
// declarations name, and points the imports there: who installs the package installs nothing besides. Runs after tsc.
//
// `effect` stays an import: it is a peer, and a program must have one copy of it.
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { build } from "esbuild"
import { options, plugins, root, writeLicenses } from "./bundling.js"

const require = createRequire(import.meta.url)
const lib = path.join(root, "dist/lib")
const vendor = path.join(lib, "vendor")

/** The file for each module; `types` alone have no code. */
const libraries = new Map([
  ["@grpc/grpc-js", { file: "grpc-js", named: true }],
  ["@grpc/proto-loader", { file: "proto-loader", typesOnly: true }],
  ["protobufjs/minimal.js", { file: "protobufjs" }],
  ["protobufjs/light.js", { file: "protobufjs-light" }],
  ["dockerode", { file: "dockerode" }],
  ["systeminformation", { file: "systeminformation" }]
])

/** Node finds the names of a CommonJS module only where they are written down. */
const entryOf = (name, { named }) =>
  named === true
    ? `export { ${Object.keys(require(name)).join(", ")} } from ${JSON.stringify(name)}`
    : `module.exports = require(${JSON.stringify(name)})`

const problems = []

fs.rmSync(vendor, { recursive: true, force: true })
fs.mkdirSync(vendor, { recursive: true })
const results = await Promise.all(
  [...libraries].filter(([, { typesOnly }]) => typesOnly !== true).map(([name, library]) =>
    build({
      ...options,
      stdin: { contents: entryOf(name, library), resolveDir: root },
      outfile: path.join(vendor, `${library.file}.cjs`),
      plugins
    })
  )
)
writeLicenses(path.join(vendor, "THIRD-PARTY-LICENSES.txt"), results)

/** What each types' file declares, by the file's name. */
const declared = new Map()
for (const { file } of libraries.values()) {
  const types = path.join(import.meta.dirname, "vendor", `${file}.d.cts`)
  if (!fs.existsSync(types)) continue
  const text = fs.readFileSync(types, "utf8")
  fs.writeFileSync(path.join(vendor, `${file}.d.cts`), text)
  declared.set(
    file,
    new Set(
      [...text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|enum|interface|type) (\w+)/gm)].map(([, name]) =>
        name
      )
    )
  )
}

const files = fs.readdirSync(lib, { recursive: true })
  .filter((name) => /\.(?:js|d\.ts)$/.test(name) && !name.startsWith("vendor"))
for (const name of files) {
  const place = path.join(lib, name)
  const before = fs.readFileSync(place, "utf8")
  const up = path.posix.relative(path.posix.dirname(name.replaceAll("\\", "/")), "vendor")
  const used = new Map()
  const text = before.replace(
    /\b(from|import)(\s*\(?\s*)(["'])([^."'\n][^"'\n]*)\3/g,
    (all, keyword, gap, quote, module) => {
      const library = libraries.get(module)
      if (library !== undefined) {
        used.set(module, library.file)
        return `${keyword}${gap}${quote}${up.startsWith(".") ? up : `./${up}`}/${library.file}.cjs${quote}`
      }
      if (!/^(?:node:|effect(?:\/|$))/.test(module)) problems.push(`${name} imports ${module}, which nobody installs`)
      return all
    }
  )
  if (name.endsWith(".d.ts")) {
    for (const [module, file] of used) {
      const known = declared.get(file)
      const escaped = module.replace(/[/.]/g, "\\$&")
      const alias = new RegExp(`import (?:type )?\\* as (\\w+) from ["']${escaped}["']`).exec(before)?.[1]
      const list = new RegExp(`import (?:type )?\\{([^}]*)\\} from ["']${escaped}["']`).exec(before)?.[1] ?? ""
      const names = [
        ...list.split(",").map((one) => one.trim().split(" ")[0]).filter((one) => one !== ""),
        ...(alias === undefined
          ? []
          : [...before.matchAll(new RegExp(`\\b${alias}\\.(\\w+)`, "g"))].map(([, one]) => one))
      ]
      for (const one of new Set(names)) {
        if (known?.has(one) !== true && one !== "health" && one !== "io") {
          problems.push(`${name} names ${one} of ${module}: add it to scripts/vendor/${file}.d.cts`)
        }
      }
    }
  }
  if (text !== before) fs.writeFileSync(place, text)
}

if (problems.length > 0) {
  console.error(problems.join("\n"))
  process.exitCode = 1
}
