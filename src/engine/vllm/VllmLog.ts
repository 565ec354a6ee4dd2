/** What vLLM's log lines and metrics mean. */
import type { EngineLoad, EngineLogReader } from "../EngineDriver.js"

/** A marker, what follows it (`$1` of the text), and how far the start is by then. */
const stages: ReadonlyArray<readonly [marker: string, detail: RegExp | undefined, text: string]> = [
  ["Loading safetensors checkpoint shards:", /:\s{1,9}(\d{1,3})% Completed/, "Loading the weights ($1 %)"],
  ["Loading weights took", /took ([\d.]{1,12})/, "Weights loaded ($1 s)"],
  ["Model loading took", undefined, "Model loaded"],
  ["Starting to load model", undefined, "Loading the model"],
  ["Loading model from scratch", undefined, "Loading the model"],
  ["torch.compile takes", /takes ([\d.]{1,12})/, "Compiled ($1 s)"],
  ["Dynamo bytecode transform", undefined, "Compiling the model"],
  ["Compiling a graph", undefined, "Compiling the model"],
  ["Cache the graph", undefined, "Compiling the model"],
  ["Capturing CUDA graph", /(\d{1,3})%/, "Capturing CUDA graphs ($1 %)"],
  ["Graph capturing finished in", / in (\d{1,9})/, "CUDA graphs captured ($1 s)"],
  ["GPU KV cache size:", /: ([\d,]{1,20}) tokens/, "Reserved memory for $1 tokens of context"],
  ["init engine", /took ([\d.]{1,12})/, "Engine initialized ($1 s)"],
  ["Application startup complete", undefined, "Started"]
]

/** Characters after a marker that are looked at. */
const detailLength = 200

export const stageOf = (line: string): string | undefined => {
  for (const [marker, detail, text] of stages) {
    const at = line.indexOf(marker)
    if (at === -1) continue
    if (detail === undefined) return text
    const match = detail.exec(line.slice(at, at + detailLength))
    if (match !== null) return text.replace("$1", match[1] ?? "")
  }
  return undefined
}

/** Lines about the agent's own requests. */
export const isNoise = (line: string): boolean => /"(?:GET|HEAD) \/(?:health|metrics|v1\/models)[ ?]/.test(line)

/** The platform that it found, as its log says: `cuda`, `rocm`, `cpu`. */
export const platformOf = (line: string): string | undefined =>
  /Automatically detected platform (\w{1,20})/.exec(line)?.[1]?.toLowerCase()

export const reader: EngineLogReader = {
  stageOf,
  isNoise,
  deviceOf: platformOf,
  isUp: (line) => line.includes("Application startup complete") || line.includes("Uvicorn running on")
}

/** The sum of a metric over its engines, by its exact name. */
const sumOf = (lines: ReadonlyArray<string>, name: string): number | undefined => {
  let sum: number | undefined
  for (const line of lines) {
    if (!line.startsWith(name) || (line[name.length] !== " " && line[name.length] !== "{")) continue
    const text = line.slice(Math.max(name.length, line.lastIndexOf("}") + 1)).trim()
    const value = /^[0-9.eE+-]{1,40}$/.test(text) ? Number(text) : Number.NaN
    if (Number.isFinite(value) && value >= 0) sum = (sum ?? 0) + value
  }
  return sum
}

/** What `/metrics` says of its load; `undefined` where the page does not. */
export const loadOf = (page: string): EngineLoad | undefined => {
  const lines = page.split(/\r?\n/)
  const running = sumOf(lines, "vllm:num_requests_running")
  const prompt = sumOf(lines, "vllm:prompt_tokens_total")
  const generated = sumOf(lines, "vllm:generation_tokens_total")
  return running === undefined || prompt === undefined || generated === undefined
    ? undefined
    : {
      running,
      tokens: prompt + generated,
      cacheUsage: sumOf(lines, "vllm:kv_cache_usage_perc") ?? sumOf(lines, "vllm:gpu_cache_usage_perc") ?? 0
    }
}
