import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as ModelName from "../../src/chat/ModelName.js"

describe("the name of a model", () => {
  it.each([
    ["llama2", "llama2:latest"],
    ["llama2:13b", "llama2:13b"],
    ["org/model", "org/model:latest"],
    ["hf.co/org/model:Q4_K_M", "hf.co/org/model:Q4_K_M"],
    ["localhost:5000/org/model", "localhost:5000/org/model:latest"],
    ["localhost:5000/org/model:tag", "localhost:5000/org/model:tag"],
    ["library/llama2", "llama2:latest"],
    ["registry.ollama.ai/library/llama2:7b", "llama2:7b"],
    ["registry.ollama.ai/org/model", "org/model:latest"]
  ])("%s means %s", (model, listed) => {
    assert.strictEqual(ModelName.withTag(model), listed)
    const other = listed.toUpperCase()
    assert.strictEqual(ModelName.find(["other:latest", other], model), other)
  })

  it("means the model that is listed by exactly it, before any other", () => {
    assert.strictEqual(ModelName.find(["llama2:latest", "llama2"], "llama2"), "llama2")
    assert.strictEqual(ModelName.find(["LLAMA2:latest", "llama2:latest"], "llama2:latest"), "llama2:latest")
  })

  it("means no model under another tag, and none that is listed without a tag by another case", () => {
    assert.isUndefined(ModelName.find(["llama2:13b", "llama2-uncensored:latest"], "llama2"))
    assert.isUndefined(ModelName.find(["llama2:latest"], "llama2:13b"))
    assert.isUndefined(ModelName.find(["Qwen/Qwen3-0.6B"], "qwen/qwen3-0.6b"))
  })

  it("is found in time whatever it is", () => {
    fc.assert(fc.property(fc.string({ maxLength: 2000 }), fc.array(fc.string()), (model, names) => {
      const found = ModelName.find(names, model)
      assert.isTrue(found === undefined || names.includes(found))
    }))
    for (const model of [":".repeat(1 << 20), "/".repeat(1 << 20), "a:1/".repeat(1 << 18)]) {
      const from = performance.now()
      ModelName.withTag(model)
      ModelName.find(["a"], model)
      assert.isBelow(performance.now() - from, 100)
    }
  })
})
