import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Completions from "../../src/cli/Completions.js"
import { removeFolders, temporaryFolder } from "./CommandProcess.js"

/** A folder with one file and one directory in it, and the scripts beside it. */
let here = ""
let scripts = ""

beforeAll(() => {
  here = temporaryFolder()
  scripts = temporaryFolder()
  fs.writeFileSync(path.join(here, "some-file"), "")
  fs.mkdirSync(path.join(here, "some-directory"))
  for (const shell of ["bash", "zsh", "fish"] as const) {
    fs.writeFileSync(path.join(scripts, `completion.${shell}`), Completions.script(shell))
  }
})

afterAll(removeFolders)

const has = (shell: string): boolean => spawnSync(shell, ["--version"]).error === undefined

const output = (shell: string, args: ReadonlyArray<string>, input?: string): string => {
  const ended = spawnSync(shell, args, { cwd: here, encoding: "utf8", input, timeout: 20_000 })
  assert.strictEqual(ended.stderr, "")
  return ended.stdout
}

const quoted = (words: ReadonlyArray<string>) => words.map((word) => `'${word}'`).join(" ")

/** What a shell offers for the last of these words; bash splits words at `=`. */
const offers: Readonly<Record<string, (words: ReadonlyArray<string>) => ReadonlyArray<string>>> = {
  bash: (words) => {
    const split = words.flatMap((word) =>
      word.startsWith("--") ? word.split(/(=)/).filter((part) => part !== "") : [word]
    )
    const program = [
      `source ${scripts}/completion.bash`,
      `COMP_WORDS=(${quoted(split)}); COMP_CWORD=${split.length - 1}; _node_agent`,
      `printf '%s\\n' "\${COMPREPLY[@]}"`
    ].join("\n")
    return output("bash", ["--norc", "-c", program]).split("\n").filter((line) => line !== "")
  },
  zsh: (words) => {
    // zsh completes only in an interactive shell on a terminal, which zpty is. By its own keys: those of emacs, which it takes
    // unless $EDITOR is vi, have longer ones that begin with ^X.
    const program = `
      zmodload zsh/zpty
      zpty -b shell zsh -f -i
      say() { zpty -w shell "$1" }
      say 'PROMPT=; RPROMPT=; PS2=; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; LISTMAX=1000; setopt no_list_ambiguous; cd ${here}'
      say 'source ${scripts}/completion.zsh'
      say 'compadd() { [[ " $* " == *" -O "* || " $* " == *" -A "* || " $* " == *" -D "* ]] && { builtin compadd "$@"; return }; local -a found; builtin compadd -A found "$@"; print -l -- "OFFER:"$^found >> ${scripts}/offers; builtin compadd "$@" }'
      say 'finish() { zle -C done .complete-word _main_complete }; bindkey -v; bindkey "^X" list-choices; print READY > ${scripts}/ready'
      while [[ ! -e ${scripts}/ready ]]; do zpty -r -t shell line || sleep 0.05; done
      zpty -w -n shell ${quoted([words.join(" ")])}$'\\x18'
      zpty -w -n shell $'\\x15print DONE > ${scripts}/done\\n'
      for i in {1..200}; do [[ -e ${scripts}/done ]] && break; zpty -r -t shell line || sleep 0.05; done
      zpty -d shell
    `
    for (const name of ["offers", "ready", "done"]) fs.rmSync(path.join(scripts, name), { force: true })
    output("zsh", ["-f", "-c", program])
    const file = path.join(scripts, "offers")
    if (!fs.existsSync(file)) return []
    return [
      ...new Set(fs.readFileSync(file, "utf8").split("\n").flatMap((line) => /^OFFER:(.+)$/.exec(line)?.[1] ?? []))
    ]
  },
  fish: (words) =>
    output("fish", [
      "--no-config",
      "-c",
      `source ${scripts}/completion.fish; complete -C ${quoted([words.join(" ")])}`
    ]).split("\n").filter((line) => line !== "").map((line) => line.split("\t")[0]?.replace(/^--[a-z-]+=/, "") ?? "")
}

for (const [shell, offer] of Object.entries(offers)) {
  describe.skipIf(!has(shell))(`completion in ${shell}`, () => {
    it("offers the commands", () => {
      assert.includeMembers([...offer(["node-agent", ""])], ["dev", "orchestrator", "capabilities", "help"])
    })

    it("offers a command's options right after the command, and no other's", () => {
      const found = offer(["node-agent", "dev", "--"])
      assert.includeMembers([...found], ["--http-port", "--ollama-model", "--help"])
      assert.notInclude(found, "--orchestrator")
      assert.notInclude(found, "--json")
    })

    it("knows the command behind options with values that look like commands", () => {
      const found = offer(["node-agent", "orchestrator", "--log-level", "debug", "--h"])
      assert.includeMembers([...found], ["--http-port", "--heartbeat-timeout"])
      assert.notInclude(found, "--hostname")
    })

    it("offers the values of a choice, and no file", () => {
      assert.sameMembers([...offer(["node-agent", "--log-level", ""])], ["debug", "info", "warn", "error"])
      assert.sameMembers([...offer(["node-agent", "dev", "--log-format", "p"])], ["pretty"])
      assert.sameMembers([...offer(["node-agent", "--log-format=j"])], ["json"])
    })

    it("offers directories for a directory, and nothing for a port", () => {
      assert.deepStrictEqual(
        offer(["node-agent", "--state-dir", "some"]).map((name) => name.replace(/\/$/, "")),
        ["some-directory"]
      )
      assert.deepStrictEqual(offer(["node-agent", "--agent-port", ""]), [])
    })
  })
}
