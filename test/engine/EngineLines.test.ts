/** Engines write whatever they like: what reads their lines must bear it. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as Diagnosis from "../../src/engine/Diagnosis.js"
import * as EngineLog from "../../src/engine/EngineLog.js"
import * as OllamaApi from "../../src/engine/ollama/OllamaApi.js"
import * as OllamaDiagnosis from "../../src/engine/ollama/OllamaDiagnosis.js"
import * as OllamaLog from "../../src/engine/ollama/OllamaLog.js"
import * as VllmDiagnosis from "../../src/engine/vllm/VllmDiagnosis.js"
import * as VllmLog from "../../src/engine/vllm/VllmLog.js"
import * as OpenAiProbe from "../../src/engine/OpenAiProbe.js"

/** Pieces of lines that mean something, in any order, with anything between them. */
const piece = FastCheck.oneof(
  FastCheck.string({ unit: "binary", maxLength: 30 }),
  FastCheck.constantFrom(
    "(EngineCore pid=1) ",
    "\u001b[1;36m",
    "WARNING ",
    "ERROR ",
    "Free memory on device (",
    ") less than desired GPU memory utilization (",
    "estimated maximum model length is ",
    "CUDA out of memory. Tried to allocate ",
    "Model architectures ",
    " are not supported",
    "error: argument ",
    "NCCL ",
    "unhandled system error",
    "Engine core initialization failed",
    "inference compute library=",
    "Capturing CUDA graphs ",
    "Loading safetensors checkpoint shards:  5% Completed",
    "[GIN] | GET \"/api/tags\"",
    "vllm:num_requests_running ",
    "vllm:prompt_tokens_total{",
    "} 1e309\n",
    "$1",
    "%",
    "\n"
  )
)
const line = FastCheck.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""))

describe("any line", () => {
  it.prop("is a diagnosis with a message of reasonable length, or none", {
    lines: FastCheck.array(line, { maxLength: 20 }),
    engine: FastCheck.constantFrom(VllmDiagnosis.diagnosis, OllamaDiagnosis.diagnosis),
    exitCode: FastCheck.integer({ min: 0, max: 255 }),
    oomKilled: FastCheck.boolean(),
    model: FastCheck.string({ unit: "binary" })
  }, ({ engine, exitCode, lines, model, oomKilled }) => {
    const evidence = { model, exit: { exitCode, oomKilled }, lines, gpus: [] } as const
    const { message, remedy } = Diagnosis.ofEnd(engine, evidence)
    assert.isNotEmpty(message)
    assert.notInclude(message + remedy, "undefined")
    Diagnosis.stalled(engine, Duration.minutes(1), [])
  })

  it.prop("is a stage, a library or a load, or none", { text: line }, ({ text }) => {
    for (const stage of [VllmLog.stageOf(text), OllamaLog.stageOf(text)]) {
      assert.isTrue(stage === undefined || !stage.includes("$"), stage)
    }
    const library = OllamaLog.libraryOf(text)
    assert.isTrue(library === undefined || /^\w+$/.test(library), library)
    const load = VllmLog.loadOf(text)
    assert.isTrue(load === undefined || (Number.isFinite(load.running) && Number.isFinite(load.tokens)))
    assert.isBoolean(VllmLog.isNoise(text) && OllamaLog.isNoise(text))
    OllamaApi.partlyOnCpu(text)
    OllamaApi.modelsOf(text)
    OpenAiProbe.modelsOf(text)
    assert.isNotEmpty(OllamaDiagnosis.ofPull("m", text).message)
  })

  it.prop("is kept without secrets, and as what a terminal can show", {
    lines: FastCheck.array(line, { maxLength: 5 }),
    secret: FastCheck.stringMatching(/^[A-Za-z0-9+/=_-]{6,20}$/),
    other: FastCheck.stringMatching(/^[A-Za-z0-9+/=_-]{0,10}$/)
  }, ({ lines, other, secret }) => {
    const log = EngineLog.make([Redacted.make(secret), Redacted.make(secret + other)])
    for (const text of lines) log.push(`${text}${secret}${other}${text}${secret}`)
    for (const kept of log.lines()) {
      assert.notInclude(kept, secret)

      assert.notMatch(kept, /[\u0000-\u0008\u000a-\u001f\u007f]/)
    }
  })

  const mebibyte = 2 ** 20
  const filled = (text: string) => text.repeat(Math.ceil(mebibyte / text.length))
  const longLines = [
    ...VllmDiagnosis.diagnosis.known.flatMap(({ and = [], markers }) => [...markers, ...and]),
    ...["Capturing CUDA graph 1", "[GIN] GET ", "inference compute library", "(a pid=1", "(EngineCore pid=1) "],
    ...["Automatically detected platform ", "vllm:num_requests_running{} ", "\u001b[", "\"GET /health", "\t \r", "}"],
    ...["aError", "WARNING", "Loading safetensors checkpoint shards:  "]
  ].map(filled)

  it.each(longLines)("of 1 MiB is read in no time: %#", (text) => {
    const log = EngineLog.make([Redacted.make("a-long-secret"), Redacted.make("}}}}}}}}}}")])
    const lines = [text.slice(0, 2000), text]
    const exit = { exitCode: 1, oomKilled: false }
    const readers: Readonly<Record<string, () => unknown>> = {
      vllmStage: () => VllmLog.stageOf(text),
      vllmNoise: () => VllmLog.isNoise(text),
      vllmPlatform: () => VllmLog.platformOf(text),
      vllmLoad: () => VllmLog.loadOf(text),
      ollamaStage: () => OllamaLog.stageOf(text),
      ollamaNoise: () => OllamaLog.isNoise(text),
      ollamaLibrary: () => OllamaLog.libraryOf(text),
      ollamaPull: () => OllamaDiagnosis.ofPull("m", text),
      log: () => log.push(text),
      vllmEnd: () => Diagnosis.ofEnd(VllmDiagnosis.diagnosis, { model: "m", exit, lines, gpus: [] }),
      ollamaEnd: () => Diagnosis.ofEnd(OllamaDiagnosis.diagnosis, { model: "m", exit, lines, gpus: [] })
    }
    for (const [name, read] of Object.entries(readers)) {
      const times = [0, 1, 2].map(() => {
        const from = performance.now()
        read()
        return performance.now() - from
      })
      // The best of three: a busy machine is no slow pattern.
      assert.isBelow(Math.min(...times), 100, name)
    }
  })
})
