import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as JSONSchema from "effect/JSONSchema"
import * as Schema from "effect/Schema"
import * as Commands from "../../src/cli/Commands.js"
import * as Setting from "../../src/config/Setting.js"
import * as Format from "../../src/config/SettingFormat.js"
import * as Source from "../../src/config/Source.js"

const settings = Object.values(Commands.everySetting)

/** Some texts that a format may take, and any others. */
const texts = FastCheck.oneof(
  FastCheck.string(),
  FastCheck.string({ unit: "binary" }),
  FastCheck.nat().map(String),
  FastCheck.nat(100).map((count) => `${count}s`),
  FastCheck.nat(100_000).map((count) => `${count}MiB`),
  FastCheck.ipV6().map((address) => `[${address}]:1`),
  FastCheck.domain(),
  FastCheck.constantFrom(
    "all",
    "none",
    "0,1",
    "GPU-1",
    "true",
    "F",
    "debug",
    "json",
    "/a b",
    "volume",
    "::",
    "dns:///a:1"
  )
)

describe.each(settings)("the format of --$name", (setting) => {
  const { expected, json, parse, placeholder, print } = setting.format

  it("takes any text without throwing, and says what is valid", () => {
    FastCheck.assert(FastCheck.property(texts, (text) => {
      const parsed = parse(text)
      if (Either.isLeft(parsed)) assert.strictEqual(parsed.left, expected)
    }))
  })

  it("prints what it reads so that it reads the same", () => {
    FastCheck.assert(FastCheck.property(texts, (text) => {
      const first = parse(text)
      if (Either.isRight(first)) assert.deepStrictEqual(parse(print(first.right)), first)
    }))
  })

  it("reads two megabytes within 200 ms of processor time", () => {
    for (const unit of ["a", "1", "a.", "1,", "GPU-a,", "1h", "=", " ", "\u00e9", "[", "::"]) {
      const before = process.cpuUsage()
      parse(unit.repeat(1024 * 1024 / unit.length))
      parse(`${unit.repeat(1024 * 1024 / unit.length)}!`)
      assert.isBelow(process.cpuUsage(before).user / 1000, 200, unit)
    }
  })

  it("is a schema with placeholder, expectation and bounds, and a JSON Schema", () => {
    const schema = Format.toSchema(setting.format)
    FastCheck.assert(
      FastCheck.property(texts, (text) => {
        const decoded = Schema.decodeEither(schema)(text)
        assert.strictEqual(Either.isRight(decoded), Either.isRight(parse(text)))
      }),
      { numRuns: 20 }
    )
    const described = JSONSchema.make(schema)
    assert.deepStrictEqual({ ...described }, {
      $schema: described.$schema,
      title: placeholder,
      description: expected,
      ...json
    } as object)
  })

  it("refuses a bad text by the setting's name and the variable", () => {
    if (setting.kind === "optional" || Either.isRight(parse("\u0000"))) return
    const read = Setting.readTable({ it: setting }, [
      Source.environment({ [Source.environmentVariable(setting.name)]: "\u0000" })
    ])
    assert.isTrue(Either.isLeft(read))
    const message = Either.isLeft(read) ? read.left.message : ""
    assert.include(message, `--${setting.name} cannot be `)
    assert.include(message, `(from ${Source.environmentVariable(setting.name)})`)
    assert.include(message, expected)
  })
})

describe("a table", () => {
  const table = {
    port: Setting.setting("port", Format.fixedPort, { description: "a port", default: "1" }),
    token: Setting.setting("token", Format.identifier("token"), {
      description: "a token",
      default: "x",
      isSecret: true
    })
  }

  it("says which settings a source gave", () => {
    const { provenance } = Either.getOrThrow(Setting.readTable(table, [Source.program({ port: "2" })]))
    assert.deepStrictEqual(provenance("port"), { text: "2", origin: "from the program", isGiven: true })
    assert.deepStrictEqual(provenance("token"), { text: "x", origin: "the default", isGiven: false })
  })

  it("never shows a secret, neither when it is read nor when it is refused later", () => {
    const read = Setting.readTable(table, [Source.program({ token: "hush\n" })])
    assert.notInclude(Either.isLeft(read) ? read.left.message : "hush", "hush")
    const { refuse } = Either.getOrThrow(Setting.readTable(table, [Source.program({ token: "hush" })]))
    assert.strictEqual(
      refuse("token", "it has expired", "a new one").message,
      "--token cannot be the given value (from the program): it has expired; give a new one"
    )
  })

  it("does not take a property of every object for a value", () => {
    for (const name of ["constructor", "toString", "__proto__"]) {
      const odd = { odd: Setting.setting(name, Format.identifier("x"), { description: "odd", default: "x" }) }
      assert.strictEqual(
        Either.getOrThrow(Setting.readTable(odd, [Source.program({}), Source.commandLine({})])).odd,
        "x"
      )
    }
  })
})
