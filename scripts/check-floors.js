// Fails when a room imports what it must not: rooms import only from floors below theirs, and adapters are chosen only
// where a program is put together. The table is docs/architecture.md's.
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const root = path.resolve(import.meta.dirname, "..")
const source = path.join(root, "src")

/** The floor of each room; files directly in src/ are rooms of their own. */
const floors = {
  "bin": 5,
  "index": 5,
  "cli": 4,
  "agent": 3,
  "embedded": 3,
  "inference": 2,
  "engine": 2,
  "job": 2,
  "orchestrator": 1,
  "capabilities": 1,
  "docker": 1,
  "proto": 0,
  "config": 0,
  "grpc": 0,
  "Version": 0
}

/** Imports between rooms of one floor, each one way only. */
const sideways = new Map([
  ["orchestrator", ["capabilities"]],
  ["proto", ["grpc"]],
  ["inference", ["engine"]]
])

/** Modules that only those who put a program together may name. */
const adapters = new Set(["orchestrator/GrpcOrchestrator", "capabilities/LocalCapabilities", "docker/DockerodeDocker"])
const mayChooseAdapters = (module) =>
  ["cli", "bin", "index"].includes(roomOf(module)) || ["agent/Agent", "embedded/EmbeddedOrchestrator"].includes(module)

const roomOf = (module) => module.split("/")[0]

const moduleOf = (file) => path.relative(source, file).split(path.sep).join("/").replace(/\.[jt]s$/, "")

const importsOf = (file) =>
  ts.preProcessFile(fs.readFileSync(file, "utf8"), true, true).importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith("."))
    .map((name) => moduleOf(path.resolve(path.dirname(file), name)))

const problemOf = (from, to) => {
  const [here, there] = [roomOf(from), roomOf(to)]
  for (const room of [here, there]) {
    if (floors[room] === undefined) return `src/${room} has no floor: give it one in scripts/check-floors.js`
  }
  if (here === there) return undefined
  if (floors[there] >= floors[here] && !(sideways.get(here) ?? []).includes(there)) {
    return `${here} (floor ${floors[here]}) must not import from ${there} (floor ${floors[there]})`
  }
  if (adapters.has(to) && !mayChooseAdapters(from)) {
    return `${from} must not choose an adapter: import the port of ${there} instead`
  }
  return undefined
}

const files = fs.readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => path.join(source, file))
const problems = files.flatMap((file) =>
  importsOf(file).flatMap((to) => {
    const problem = problemOf(moduleOf(file), to)
    return problem === undefined ? [] : [`src/${moduleOf(file)}.ts imports ${to}: ${problem}`]
  })
)
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1
else console.log(`${files.length} files keep to their floors`)
