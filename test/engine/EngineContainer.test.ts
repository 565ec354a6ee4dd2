import { assert, describe, it } from "@effect/vitest"
import * as EngineContainer from "../../src/engine/EngineContainer.js"

describe("the name of an engine's container", () => {
  it("is the same for a node's engine, and another for any other", () => {
    const name = EngineContainer.name({ nodeId: "node-1", engine: "vllm" })
    assert.strictEqual(EngineContainer.name({ nodeId: "node-1", engine: "vllm" }), name)
    assert.notStrictEqual(EngineContainer.name({ nodeId: "node-2", engine: "vllm" }), name)
    assert.notStrictEqual(EngineContainer.name({ nodeId: "node-1", engine: "ollama" }), name)
  })

  it("is none that Orchion's own agent would find and remove", () => {
    for (const engine of ["vllm", "ollama"]) {
      assert.notInclude(EngineContainer.name({ nodeId: "node-1", engine }), `orchion-${engine}`)
    }
  })

  it("is one that Docker allows, whatever the node's id", () => {
    for (const nodeId of ["Ünï/cödé node", "-", "x".repeat(500)]) {
      assert.match(EngineContainer.name({ nodeId, engine: "vllm" }), /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}$/)
    }
  })
})
