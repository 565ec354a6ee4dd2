import { assert, describe, it } from "@effect/vitest"
import { messageType } from "../../src/proto/Definitions.js"
import * as PlainMessage from "../../src/proto/PlainMessage.js"

const decoded = (name: string, message: object) => {
  const type = messageType(name)
  return type.toObject(type.decode(type.encode(type.fromObject(message)).finish()), {
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true
  })
}

describe("a message as plain data", () => {
  const plain = PlainMessage.converter("orchion.v1.Capabilities")

  it("has 64-bit integers as numbers, whatever their fields are called", () => {
    const log = PlainMessage.converter("orchion.v1.LogEntry")
    const entry = log(decoded("orchion.v1.LogEntry", { timestamp: "1700000000123", fields: { size_bytes: "12" } }))
    assert.strictEqual(entry["timestamp"], 1_700_000_000_123)
    assert.deepStrictEqual(entry["fields"], { size_bytes: "12" })
  })

  it("leaves out what is absent, and numbers that are none, in messages within messages", () => {
    const { gpus, memory_info, os_info } = plain(decoded("orchion.v1.Capabilities", {
      memory_info: { total_bytes: 2 ** 40 },
      gpus: [{ vendor: "nvidia", utilization_percent: Number.NaN, memory_used_bytes: 5, temperature_celsius: 40 }]
    }))
    const [gpu] = gpus as ReadonlyArray<Record<string, unknown>>
    assert.isUndefined(os_info)
    assert.deepStrictEqual(memory_info, { total_bytes: 2 ** 40, available_bytes: 0 })
    assert.deepInclude(gpu, { memory_used_bytes: 5, temperature_celsius: 40 })
    assert.isFalse("utilization_percent" in (gpu ?? {}))
    assert.isFalse(Object.keys(gpu ?? {}).some((name) => name.startsWith("_")))
  })

  it("keeps a map's keys, whatever they look like, and renames fields", () => {
    const renamed = PlainMessage.converter("orchion.v1.Capabilities", (name) => name.toUpperCase())
    const { LABELS, MEMORY_INFO } = renamed(decoded("orchion.v1.Capabilities", {
      labels: { _a: "1", cache_bytes: "12" },
      memory_info: { total_bytes: 5 }
    }))
    assert.deepStrictEqual(LABELS, { _a: "1", cache_bytes: "12" })
    assert.deepStrictEqual(MEMORY_INFO, { TOTAL_BYTES: 5, AVAILABLE_BYTES: 0 })
  })
})

describe("the types of nodes as JSON", () => {
  it("know exactly the 64-bit fields that the descriptor has", () => {
    const named = /(?:_bytes|_seconds|_unix)$/
    const fields = (type: string): ReadonlyArray<string> =>
      messageType(type).fields.flatMap((field, index) => {
        const inner = messageType(type).types[index]
        return inner !== undefined && "fields" in inner ? fields(inner.name) : [field.name]
      })
    const is64 = new Set(PlainMessage.integer64Fields("orchion.v1.Node").map((path) => path.replace(/.*\./, "")))
    assert.deepStrictEqual(new Set(fields("orchion.v1.Node").filter((name) => named.test(name))), is64)
  })
})
