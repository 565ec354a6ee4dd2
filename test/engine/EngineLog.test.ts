import { assert, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as EngineLog from "../../src/engine/EngineLog.js"

const make = (...secrets: ReadonlyArray<string>) => EngineLog.make(secrets.map((secret) => Redacted.make(secret)))
const logged = (log: EngineLog.EngineLog, ...lines: ReadonlyArray<string>) => {
  for (const line of lines) log.push(line)
  return log.lines()
}

it("keeps the last 200 lines, the oldest first", () => {
  const lines = logged(make(), ...Array.from({ length: 250 }, (_, index) => String(index)))
  assert.lengthOf(lines, 200)
  assert.deepStrictEqual([lines[0], lines.at(-1)], ["50", "249"])
})

it("hides secrets wherever they are, also one that is a part of another", () => {
  const log = make("hf_abcdef", "hf_abcdef_longer", "s$&cret")
  assert.deepStrictEqual(
    logged(log, "args: {'api_key': 'hf_abcdef_longer'} hf_abcdef,hf_abcdef", "s$&cret"),
    ["args: {'api_key': '***'} ***,***", "***"]
  )
  // What is short would be found in words that have nothing to do with it.
  assert.deepStrictEqual(logged(make("1"), "INFO 11-24"), ["INFO 11-24"])
})

it("keeps no more of a line than a person reads, and no part of a secret at its end", () => {
  const [line = ""] = logged(make("a-secret"), `${"x".repeat(EngineLog.longestLine - 4)}a-secret`)
  assert.isAtMost(line.length, EngineLog.longestLine + 1)
  assert.notInclude(line, "a-se")
  assert.match(line, /x\*\*\*/)
})

it("keeps what can be shown on a terminal", () => {
  assert.deepStrictEqual(
    logged(make(), "\u001b[1;36m(APIServer pid=1)\u001b[0;0m INFO\ta", "\u001b]0;title\u0007b\u0000c\r", "50%\rdone"),
    ["(APIServer pid=1) INFO a", "b c", "50% done"]
  )
})

it("has the lines since a mark", () => {
  const log = make()
  log.push("a")
  assert.deepStrictEqual(log.linesSinceMark(), ["a"])
  log.mark()
  assert.deepStrictEqual(log.linesSinceMark(), [])
  log.push("b")
  assert.deepStrictEqual(log.linesSinceMark(), ["b"])
  assert.deepStrictEqual(log.lines(), ["a", "b"])
  for (let index = 0; index < 250; index++) log.push(String(index))
  assert.deepStrictEqual(log.linesSinceMark(), log.lines())
})
