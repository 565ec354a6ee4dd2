import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as drivers from "../../src/engine/drivers.js"
import * as Temporary from "../support/Temporary.js"
import { settings } from "./Planning.js"

type Values = Parameters<typeof settings>[0]

const problem = (values: Values): Effect.Effect<string> => {
  const given = settings(values)
  return Effect.match(drivers.make(given, { "--agent-port": given.agentPort }), {
    onFailure: ({ message }) => message,
    onSuccess: () => "no problem"
  })
}

const vllm = { "enable-vllm": "true" }
const ollama = { "enable-ollama": "true" }

describe("settings of engines that contradict each other", () => {
  it.effect.each<readonly [Values, RegExp]>([
    [
      { ...vllm, ...ollama, "ollama-port": "8000" },
      /^--ollama-port cannot be "8000" \(from the [a-z ]+\): vLLM is published on it as well.*; give another port/
    ],
    [{ ...vllm, "vllm-port": "50052" }, /--vllm-port cannot be "50052".*the agent itself listens there/],
    [{ ...ollama, "ollama-port": "7000", "agent-port": "7000" }, /--ollama-port cannot be "7000"/],
    [{ ...vllm, "vllm-gpus": "0,1,0" }, /--vllm-gpus cannot be "0,1,0".*GPU 0 is named twice; give each GPU once/],
    [{ ...ollama, "ollama-gpus": "1,01" }, /--ollama-gpus cannot be "1,01".*GPU 01 is named twice/],
    [{ ...ollama, "ollama-gpus": "GPU-a,GPU-a" }, /GPU GPU-a is named twice/],
    [{ ...vllm, "vllm-volume": "/no/such" }, /--vllm-volume cannot be "\/no\/such".*there is no such directory; give/],
    [{ ...ollama, "ollama-volume": "/etc/passwd" }, /--ollama-volume.*it is not a directory/],
    [{ ...ollama, "ollama-volume": "/etc/passwd/x" }, /--ollama-volume.*there is no such directory/],
    [{ ...ollama, "ollama-volume": `/${"x".repeat(300)}` }, /--ollama-volume.*it cannot be inspected \(ENAMETOOLONG\)/],
    [{ ...vllm, "vllm-arg": ["serve"] }, /--vllm-arg cannot be "serve".*the image's own first argument/],
    [
      { ...vllm, "vllm-arg": ["--enforce-eager", "--port=1"] },
      /--vllm-arg cannot be "--port".*that is given by --vllm-port; give other arguments/
    ],
    [
      { ...vllm, "vllm-arg": ["--api-key very-secret"] },
      /--vllm-arg cannot be "--api-key" \(from the [a-z ]+\): option and value are one argument; give --vllm-arg=--api-key=VALUE$/
    ],
    [
      { ...vllm, "vllm-tensor-parallel": "3", "vllm-gpus": "0,1" },
      /--vllm-tensor-parallel cannot be "3".*--vllm-gpus names 2 GPUs only; give a number from 1 to 2/
    ],
    [
      { ...vllm, "vllm-tensor-parallel": "2", "vllm-gpus": "GPU-a" },
      /--vllm-gpus names 1 GPU only; give a number from 1 to 1/
    ],
    [
      { ...vllm, "vllm-tensor-parallel": "2", "vllm-gpus": "none" },
      /--vllm-gpus none gives it no GPU to share the model between; give 1/
    ]
  ])("are refused in one line: %j", ([values, expected]) =>
    Effect.map(problem(values), (said) => {
      assert.match(said, expected)
      assert.notInclude(said, "\n")
    }))

  it.effect("are no matter of an engine that is off", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* problem({ "ollama-port": "8000" }), "no problem")
      assert.strictEqual(yield* problem({ ...ollama, "ollama-port": "8000", "vllm-volume": "/no/such" }), "no problem")
      assert.strictEqual(
        yield* problem({ ...ollama, "vllm-arg": ["serve"], "vllm-tensor-parallel": "2" }),
        "no problem"
      )
      assert.strictEqual(yield* problem({ ...vllm, "ollama-gpus": "0,0" }), "no problem")
    }))

  it.scoped("leave everything else alone", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const link = path.join(directory, "link")
      fs.symlinkSync(directory, link)
      for (
        const values of [
          { ...vllm, ...ollama },
          { ...vllm, "vllm-volume": directory },
          { ...ollama, "ollama-volume": link },
          { ...vllm, "vllm-tensor-parallel": "8" },
          { ...vllm, "vllm-tensor-parallel": "2", "vllm-gpus": "3,1" },
          { ...vllm, "agent-port": "0" }
        ]
      ) assert.strictEqual(yield* problem(values), "no problem")
    }))

  it("name the engines that are asked for", () => {
    assert.deepStrictEqual(drivers.enabled(settings({})), [])
    assert.deepStrictEqual(drivers.enabled(settings({ ...ollama, ...vllm })), ["vllm", "ollama"])
  })

  it("have no effect without the engine, and are said to", () => {
    const unused = (values: Values) => drivers.unusedSettings(settings(values))
    assert.deepStrictEqual(unused({ "ollama-model": "m", "ollama-gpus": "none", ...vllm }), [
      "--ollama-model, --ollama-gpus have no effect: Ollama is not enabled (--enable-ollama)"
    ])
    assert.deepStrictEqual(unused({ "vllm-port": "8000" }), [
      "--vllm-port has no effect: vLLM is not enabled (--enable-vllm)"
    ])
    assert.deepStrictEqual(unused({ "ollama-url": "http://127.0.0.1:11434", "ollama-model": "m" }), [])
    assert.deepStrictEqual(unused({ "enable-ollama": "false", "engines-on-demand": "true", "ollama-model": "m" }), [])
    assert.deepStrictEqual(unused({}), [])
  })
})
