// What the bundles of the command (bundle.js) and of the library (vendor.js) have in common.
import * as fs from "node:fs"
import * as path from "node:path"

export const root = path.resolve(import.meta.dirname, "..")

/** Replaces modules by empty ones. */
const empty = (name, filter) => ({
  name,
  setup(bundle) {
    bundle.onResolve({ filter }, ({ path }) => ({ path, namespace: name }))
    bundle.onLoad({ filter: /.*/, namespace: name }, () => ({ contents: "module.exports = {}" }))
  }
})

export const plugins = [
  // dockerode loads an SSH client whether one is needed or not. The agent refuses ssh:// endpoints before dockerode sees
  // them; the client would cost memory, and does not work when it is bundled.
  empty("without-ssh", /^ssh2$/),
  // grpc-js reads its own `.proto` files with it when somebody asks for channelz or ORCA services; nobody here does.
  empty("without-proto-loader", /^@grpc\/proto-loader$/)
]

export const options = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20.19",
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
  // Native parts that their packages do without when they are missing.
  external: ["*.node"]
}

/** A license's text is a file of one of these names. */
const licenseFile = /^(?:licen[cs]e|copying)(?:[-.].*)?$/i

/** Writes the licenses of the packages whose code is in the bundles. */
export const writeLicenses = (file, results) => {
  const folders = new Set()
  for (const { metafile } of results) {
    for (
      const [input, { bytesInOutput }] of Object.values(metafile.outputs).flatMap((one) => Object.entries(one.inputs))
    ) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input.replaceAll("\\", "/"))?.[0]
      if (folder !== undefined && bytesInOutput > 0) folders.add(path.resolve(root, folder))
    }
  }
  const sections = new Map()
  for (const folder of folders) {
    const { license, name, version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"))
    const texts = fs.readdirSync(folder).filter((one) => licenseFile.test(one))
      .map((one) => fs.readFileSync(path.join(folder, one), "utf8").trim())
    sections.set(
      `${name} ${version}`,
      `${name} ${version} (${license})\n\n${texts.join("\n\n") || "No license text is in the package."}\n`
    )
  }
  const text = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, section]) => section)
    .join(`\n${"-".repeat(80)}\n\n`)
  fs.writeFileSync(file, `This folder contains code of these packages.\n\n${"-".repeat(80)}\n\n${text}`)
}
