import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import * as Commands from "../../src/cli/Commands.js"
import * as Help from "../../src/cli/Help.js"
import { environmentVariable } from "../../src/config/Source.js"

const root = path.resolve(import.meta.dirname, "../..")

describe("the README", () => {
  it("has the settings that the code has: flag, default, variable and meaning", () => {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/settings-doc.js", "--check"], {
      cwd: root,
      encoding: "utf8"
    })
    assert.strictEqual(stderr, "")
    assert.strictEqual(status, 0)
  })
})

const commands = Object.keys(Commands.commands).filter(Commands.isCommand)

describe.each(commands)("the help of %s", (command) => {
  it.each([60, 80, 100])("fits %d columns", (width) => {
    const tooLong = Help.render(command, { color: false, width }).split("\n")
      .filter((line) => line.length > width)
      // A command is to be copied as it is, and a name cannot be broken.
      .filter((line) => !/^ {2}(?:node-agent|--)/.test(line) && line.trim().includes(" "))
    assert.deepStrictEqual(tooLong, [])
  })

  it("names every setting with its variable, default and section, and has an example", () => {
    const text = Help.render(command, { color: false, width: 100 })
    const { examples, flags, settings } = Commands.specOf(command)
    for (const { defaultText, group, isSwitch, name } of Object.values(settings)) {
      assert.include(text, `  --${name}`)
      assert.include(text, `$${environmentVariable(name)}`)
      assert.include(text, `\n${group} options:\n`)
      if (!isSwitch && defaultText !== undefined) {
        assert.include(text.replaceAll(/\s+/g, " "), `(default: ${defaultText})`)
      }
    }
    for (const flag of Object.keys(flags)) assert.include(text, `  --${flag}\n`)
    assert.isNotEmpty(examples)
  })
})
