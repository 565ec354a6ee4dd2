// Fails when a room imports what it must not: rooms import only from the floors below theirs, and adapters are named
// only where a program is put together. docs/architecture.md describes the floors.
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const root = path.resolve(import.meta.dirname, "..")
const source = path.join(root, "src")

/** The floor of each room. A room is a folder, a folder within one, or a file directly in src/; the longest match counts. */
const floors = {
  "bin": 8,
  "index": 8,
  "testing": 8,
  "cli": 7,
  "agent": 6,
  "embedded": 6,
  "job": 5,
  "inference": 5,
  "engine": 4,
  "orchestrator": 4,
  "capabilities": 3,
  "docker": 3,
  "chat": 3,
  "journal": 3,
  "docker/api": 2,
  "node": 2,
  "grpc": 2,
  "state": 2,
  "config": 1,
  "net": 1,
  "process": 1,
  "effect": 1,
  "proto": 1,
  "text": 0,
  "Version": 0
}

/** Imports between rooms of one floor, each one way only. Debts are listed here until they are paid. */
const sideways = new Map([
  ["config", ["net"]],
  ["net", ["effect"]]
])

/** Imports that a file's own floor does not allow, each with its reason. */
const exceptions = new Map([
  ["proto/OrchionV1", ["grpc/GrpcService"]]
])

/** Modules that only those who put a program together may name. */
const adapters = new Set([
  "orchestrator/grpc/GrpcOrchestrator",
  "orchestrator/grpc/GrpcClusterClient",
  "capabilities/LocalCapabilities",
  "docker/DockerodeDocker"
])
const mayChooseAdapters = (module) =>
  ["cli", "bin", "index", "testing"].includes(roomOf(module))
  || ["agent/Agent", "embedded/EmbeddedOrchestrator"].includes(module)

const roomOf = (module) => {
  const parts = module.split("/")
  for (let length = parts.length; length > 0; length--) {
    const room = parts.slice(0, length).join("/")
    if (floors[room] !== undefined) return room
  }
  return parts[0]
}

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
  if (here === there || (exceptions.get(from) ?? []).includes(to)) return undefined
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
