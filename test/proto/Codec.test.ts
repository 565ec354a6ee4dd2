import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import protobuf from "protobufjs"
import { type MessageType, messageType } from "../../src/proto/Definitions.js"
import { messages } from "../../src/proto/generated/codec.js"
import { descriptor } from "../../src/proto/generated/descriptor.js"
import * as CpuTime from "../support/CpuTime.js"

/** protobufjs with code made at run time: what the generated code must not differ from. */
const reflected = protobuf.Root.fromJSON(JSON.parse(descriptor))

const conversion = { longs: String, enums: String, defaults: true, oneofs: true }

const anything = FastCheck.oneof(
  FastCheck.string({ unit: "grapheme", maxLength: 8 }),
  FastCheck.double(),
  FastCheck.integer(),
  FastCheck.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map(String),
  FastCheck.boolean(),
  FastCheck.constantFrom(null, undefined, Number.NaN, "__proto__", "JOB_TYPE_EMBEDDINGS", 7, -1)
)

const number = FastCheck.oneof(FastCheck.double(), FastCheck.integer(), FastCheck.constantFrom(0, -0, Number.NaN))

const ofScalar = (type: string): FastCheck.Arbitrary<unknown> => {
  if (type === "bytes") return FastCheck.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))
  if (type === "string" || type === "bool") return anything
  if (type.endsWith("64")) return FastCheck.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String)
  return number
}

const ofMessage = (type: protobuf.Type, depth = 0): FastCheck.Arbitrary<object> =>
  FastCheck.record(
    Object.fromEntries(type.fieldsArray.map((field) => {
      const inner = field.resolve().resolvedType
      const value = inner instanceof protobuf.Type
        ? (depth > 0 ? FastCheck.constant(null) : ofMessage(inner, depth + 1))
        : inner === null
        ? ofScalar(field.type)
        : FastCheck.constantFrom(...Object.keys(inner.values), ...Object.values(inner.values), 99)
      return [
        field.name,
        field.map
          ? FastCheck.dictionary(FastCheck.string({ unit: "grapheme", maxLength: 5 }), value, { maxKeys: 3 })
          : field.repeated
          ? FastCheck.array(value, { maxLength: inner instanceof protobuf.Type && depth > 0 ? 0 : 3 })
          : value
      ]
    })),
    { requiredKeys: [] }
  )

const outcome = (run: () => unknown) => {
  try {
    return { value: run() }
  } catch (error) {
    return { error: String(error) }
  }
}

const json = (value: unknown) => JSON.stringify(value)

describe("the generated code of messages", () => {
  it.each(Object.keys(messages))("%s encodes and decodes as protobufjs does at run time", (name) => {
    const theirs = reflected.lookupType(name)
    const ours: MessageType = messageType(name)
    FastCheck.assert(
      FastCheck.property(ofMessage(theirs), (value) => {
        const bytes = outcome(() => Buffer.from(ours.encode(ours.fromObject(value)).finish()).toString("hex"))
        assert.deepStrictEqual(
          bytes,
          outcome(() => Buffer.from(theirs.encode(theirs.fromObject(value)).finish()).toString("hex"))
        )
        if (typeof bytes.value !== "string") return
        const sent = Buffer.from(bytes.value, "hex")
        assert.strictEqual(
          json(ours.toObject(ours.decode(sent), conversion)),
          json(theirs.toObject(theirs.decode(sent), conversion))
        )
      }),
      { numRuns: 15, endOnFailure: true }
    )
  })

  it.each(Object.keys(messages))("%s is read from any bytes without a hang, or refused with an error", (name) => {
    const theirs = reflected.lookupType(name)
    const ours = messageType(name)
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 60 }), (bytes) => {
        assert.deepStrictEqual(
          outcome(() => json(ours.toObject(ours.decode(bytes), conversion))),
          outcome(() => json(theirs.toObject(theirs.decode(bytes), conversion)))
        )
      }),
      { numRuns: 40, endOnFailure: true }
    )
  })

  it("does not take a key of a map for an object's prototype", () => {
    const type = messageType("orchion.v1.LogEntry")
    const sent = type.encode(type.fromObject({ fields: JSON.parse("{\"__proto__\":\"x\"}") })).finish()
    const { fields } = type.toObject(type.decode(sent), conversion) as { readonly fields: object }
    assert.deepStrictEqual(Object.entries(fields), [["__proto__", "x"]])
    assert.strictEqual(Object.getPrototypeOf({}), Object.prototype)
  })

  it("reads a megabyte of hostile bytes in a blink", () => {
    const type = messageType("orchion.v1.RegisterNodeRequest")
    for (const unit of [[0x0a, 0x80], [0x0a], [0xff], [0x0b], [0x1a, 0x00], [0xba, 0x06, 0x00]]) {
      const bytes = Buffer.alloc(1024 * 1024, Buffer.from(unit))
      assert.isBelow(CpuTime.millisOf(() => outcome(() => type.toObject(type.decode(bytes), conversion))), 400)
    }
  })
})
