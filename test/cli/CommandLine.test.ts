import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as CommandLine from "../../src/cli/CommandLine.js"
import * as GoFlags from "../../src/cli/GoFlags.js"

const parse = CommandLine.parse

const problem = (argv: ReadonlyArray<string>) => parse(argv).pipe(Effect.flip, Effect.map(({ message }) => message))

/** What the settings and flags of a command line are. */
const given = (argv: ReadonlyArray<string>) =>
  Effect.map(parse(argv), (request) => {
    if (request._tag !== "Run") return request
    const texts = Object.fromEntries(Object.entries(request.given).filter(([, values]) => values.length > 0))
    return { command: request.command, texts, flags: request.flags }
  })

describe("a command line", () => {
  it.effect.each<readonly [argv: ReadonlyArray<string>, command: string, texts: Record<string, ReadonlyArray<string>>]>(
    [
      [[], "run", {}],
      [["run"], "run", {}],
      [["--node-id", "a"], "run", { "node-id": ["a"] }],
      [["-node-id", "a"], "run", { "node-id": ["a"] }],
      [["-node-id=a"], "run", { "node-id": ["a"] }],
      [["--node-id=a=b"], "run", { "node-id": ["a=b"] }],
      [["--node-id", ""], "run", { "node-id": [""] }],
      [["-node-id="], "run", { "node-id": [""] }],
      [["--hostname", " my desktop "], "run", { hostname: [" my desktop "] }],
      [["--hostname", "--node-id", "--node-id", "x"], "run", { hostname: ["--node-id"], "node-id": ["x"] }],
      [["--hostname", "dev", "dev"], "dev", { hostname: ["dev"] }],
      [["--log-level", "debug"], "run", { "log-level": ["debug"] }],
      [["--log-level", "debug", "dev", "--port", "0"], "dev", { "log-level": ["debug"], port: ["0"] }],
      [["--agent-port", "1", "--agent-port=2"], "run", { "agent-port": ["1", "2"] }],
      [["--vllm-arg=--a", "--vllm-arg", "--b c"], "run", { "vllm-arg": ["--a", "--b c"] }],
      [["-enable-vllm"], "run", { "enable-vllm": ["true"] }],
      [["-enable-vllm=false", "-keep-engines=T"], "run", { "enable-vllm": ["false"], "keep-engines": ["T"] }],
      [["capabilities", "-watch", "-json=false"], "capabilities", { watch: ["true"], json: ["false"] }]
    ]
  )(
    "%j is understood",
    ([argv, command, texts]) =>
      Effect.map(given(argv), (found) => assert.deepInclude(found, { command, texts } as object))
  )

  it.effect("says which switches are on", () =>
    Effect.map(
      given(["capabilities", "-watch", "-json=0"]),
      (found) => assert.deepInclude(found, { flags: { json: false, watch: true } })
    ))

  it.effect.each<readonly [argv: ReadonlyArray<string>, request: CommandLine.Request]>([
    [["--help"], { _tag: "Help", command: "run" }],
    [["dev", "-h"], { _tag: "Help", command: "dev" }],
    [["help", "dev"], { _tag: "Help", command: "dev" }],
    [["help"], { _tag: "Help", command: "run" }],
    [["--bogus", "--help"], { _tag: "Help", command: "run" }],
    [["-version"], { _tag: "Version" }],
    [["-v"], { _tag: "Version" }],
    [["--completions", "zsh"], { _tag: "Completions", shell: "zsh" }],
    [["-completions=fish"], { _tag: "Completions", shell: "fish" }]
  ])(
    "%j asks for something else than a run",
    ([argv, request]) => Effect.map(parse(argv), (found) => assert.deepStrictEqual(found, request))
  )

  it.effect.each<readonly [argv: ReadonlyArray<string>, message: string]>([
    [["dve"], "there is no command \"dve\" (did you mean dev?); see node-agent --help"],
    [
      ["--http-port", "80"],
      "there is no option --http-port: node-agent dev and node-agent orchestrator have it; see node-agent --help"
    ],
    [
      ["orchestrator", "--json"],
      "there is no option --json for orchestrator: node-agent capabilities has it; see node-agent orchestrator --help"
    ],
    [
      ["--htp-port", "8080", "dev"],
      "there is no option --htp-port for dev (did you mean --http-port?); see node-agent dev --help"
    ],
    [["--bogus", "x", "y"], "there is no option --bogus; see node-agent --help"],
    [["dev", "now"], "dev takes options only, not \"now\"; see node-agent dev --help"],
    [
      ["--", "--node-id"],
      "there is no command \"--node-id\"; the commands are dev, orchestrator and capabilities; see node-agent --help"
    ],
    [["dev", "--node-id"], "--node-id needs a value (id); see node-agent dev --help"],
    [["--completions"], "--completions cannot be \"\"; give one of bash, zsh, fish; see node-agent --help"],
    [["--no\u001b]0;x\u0007de\u202e"], "there is no option --node; see node-agent --help"]
  ])("%j is explained", ([argv, message]) => Effect.map(problem(argv), (found) => assert.strictEqual(found, message)))

  const words = FastCheck.oneof(
    FastCheck.string(),
    FastCheck.string({ unit: "binary" }),
    FastCheck.constantFrom(
      "--",
      "-",
      "--=",
      "-=x",
      "---x",
      "dev",
      "run",
      "help",
      "capabilities",
      "--help",
      "--wizard",
      "--log-level",
      "--node-id",
      "--enable-vllm",
      "--json",
      "--version",
      "--completions",
      "__proto__",
      "--constructor",
      "--__proto__=x",
      "toString"
    )
  )

  it.effect("of any words is read or explained in one line, and never throws", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.array(words, { maxLength: 8 }), (argv) =>
          Effect.runPromise(Effect.match(parse(argv), {
            onFailure: ({ message }) => {
              assert.notMatch(message, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/)
              assert.isBelow(message.length, 600)
            },
            onSuccess: () => {}
          }))),
        { numRuns: 500 }
      )
    ))

  it.effect("of any values gives them back as they were typed", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.string({ unit: "binary" }), words, (id, name) =>
          Effect.runPromise(
            Effect.map(given(["--node-id", id, `-hostname=${name}`, "--vllm-arg", name]), (found) =>
              assert.deepInclude(found, { texts: { "node-id": [id], hostname: [name], "vllm-arg": [name] } }))
          )),
        { numRuns: 300 }
      )
    ))

  it("of a megabyte is read in linear time", () => {
    const long = "x".repeat(1024 * 1024)
    const grammar = { commands: new Set<string>(), switches: new Set<string>(), valued: new Set(["a"]) }
    for (const argv of [[`--${long}`], [`--a=${long}`], ["--a", long], [long], [`--${"=".repeat(1024 * 1024)}`]]) {
      const before = performance.now()
      GoFlags.normalise(argv, grammar)
      assert.isBelow(performance.now() - before, 100)
    }
  })
})
