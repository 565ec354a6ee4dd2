/** Engines write whatever they like: what reads their lines must bear it. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as Diagnosis from "../../src/engine/Diagnosis.js"
import * as EngineLog from "../../src/engine/EngineLog.js"
import * as Ollama from "../../src/engine/ollama/Ollama.js"
import * as Vllm from "../../src/engine/vllm/Vllm.js"

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
    engine: FastCheck.constantFrom("vllm" as const, "ollama" as const),
    exitCode: FastCheck.integer({ min: 0, max: 255 }),
    oomKilled: FastCheck.boolean(),
    model: FastCheck.string({ unit: "binary" })
  }, ({ engine, exitCode, lines, model, oomKilled }) => {
    const death = { engine, model, exit: { exitCode, oomKilled }, lines, gpus: [] } as const
    const { message, remedy } = Diagnosis.ofDeath(death)
    assert.isNotEmpty(message)
    assert.notInclude(message + remedy, "undefined")
    Diagnosis.stalled(engine, Duration.minutes(1), [])
  })

  it.prop("is a stage, a library or a load, or none", { text: line }, ({ text }) => {
    for (const stage of [Vllm.stageOf(text), Ollama.stageOf(text)]) {
      assert.isTrue(stage === undefined || !stage.includes("$"), stage)
    }
    const library = Ollama.libraryOf(text)
    assert.isTrue(library === undefined || /^\w+$/.test(library), library)
    const load = Vllm.loadOf(text)
    assert.isTrue(load === undefined || (Number.isFinite(load.running) && Number.isFinite(load.tokens)))
    assert.isBoolean(Vllm.isNoise(text) && Ollama.isNoise(text))
    Ollama.partlyOnCpu(text)
    Ollama.modelsOf(text)
    assert.isNotEmpty(Ollama.pullDiagnosis("m", text).message)
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

  it("costs no more than it is long", () => {
    const long = [
      "Capturing CUDA graphs " + "1".repeat(EngineLog.longestLine),
      "[GIN]".repeat(EngineLog.longestLine / 5),
      "inference compute".repeat(EngineLog.longestLine / 20)
    ]
    const from = performance.now()
    for (let round = 0; round < 20; round++) {
      for (const text of long) {
        Vllm.stageOf(text)
        Ollama.isNoise(text)
        Ollama.libraryOf(text)
      }
    }
    assert.isBelow(performance.now() - from, 5000)
  })
})
