/** What Ollama's log lines mean. */
import type { EngineLogReader } from "../EngineDriver.js"

/** Characters after a marker that are looked at. */
const detailLength = 500

const after = (line: string, marker: string): string | undefined => {
  const at = line.indexOf(marker)
  return at === -1 ? undefined : line.slice(at, at + detailLength)
}

/** How far the start is. */
export const stageOf = (line: string): string | undefined =>
  line.includes("Listening on ")
    ? "Ollama listens"
    : line.includes("inference compute")
    ? "Devices detected"
    : undefined

/** Lines about the agent's own requests. */
export const isNoise = (line: string): boolean =>
  /\b(?:GET|HEAD)\s{1,20}"\/(?:api\/version|api\/ps|api\/tags|v1\/models)?"/.test(after(line, "[GIN]") ?? "")

/** The kind of device that it computes on, as the line about it says; `undefined` for other lines. */
export const libraryOf = (line: string): string | undefined =>
  /\blibrary=(\w{1,20})/.exec(after(line, "inference compute") ?? "")?.[1]?.toLowerCase()

export const reader: EngineLogReader = {
  stageOf,
  isNoise,
  deviceOf: libraryOf,
  isUp: (line) => line.includes("Listening on ")
}
