import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as LogSettings from "../../src/cli/LogSettings.js"
import * as Setting from "../../src/config/Setting.js"
import * as Source from "../../src/config/Source.js"
import * as OrchestratorSettings from "../../src/embedded/OrchestratorSettings.js"
import { quoted } from "../../src/text/Printable.js"
import { defaultStateDir } from "../../src/state/StateSettings.js"

/** What `node-agent` itself takes. */
const all = { ...AgentConfig.settings, ...LogSettings.table }

const read = (
  sources: { readonly flags?: Record<string, ReadonlyArray<string>>; readonly env?: Record<string, string> }
) => Setting.readTable(all, [Source.commandLine(sources.flags ?? {}), Source.environment(sources.env ?? {})])

const valid = (sources: Parameters<typeof read>[0]) => Either.getOrThrowWith(read(sources), (error) => error)

const problem = (sources: Parameters<typeof read>[0]) =>
  Either.match(read(sources), { onLeft: ({ message }) => message, onRight: () => "it is valid" })

/** Flag, default as a source would write it, and what that is read as. */
const table: ReadonlyArray<
  readonly [flag: string, key: keyof typeof all, text: string | undefined, value: unknown]
> = [
  ["orchestrator", "orchestrator", "localhost:50051", { host: "localhost", port: 50_051 }],
  ["heartbeat-interval", "heartbeatInterval", "5s", Duration.seconds(5)],
  ["capability-interval", "capabilityInterval", "10s", Duration.seconds(10)],
  ["node-id", "nodeId", undefined, Option.none()],
  ["hostname", "hostname", undefined, Option.none()],
  ["agent-port", "agentPort", "50052", 50_052],
  ["advertise-address", "advertiseAddress", undefined, Option.none()],
  ["label", "labels", undefined, []],
  ["state-dir", "stateDir", undefined, Option.none()],
  ["log-level", "logLevel", "info", "info"],
  ["log-format", "logFormat", "auto", "auto"],
  ["docker-host", "dockerHost", undefined, Option.none()],
  ["enable-vllm", "enableVllm", "false", false],
  ["vllm-model", "vllmModel", "mistralai/Mistral-7B-Instruct-v0.1", "mistralai/Mistral-7B-Instruct-v0.1"],
  ["vllm-port", "vllmPort", "8000", 8_000],
  ["vllm-gpus", "vllmGpus", "all", "all"],
  ["vllm-tensor-parallel", "vllmTensorParallel", "1", 1],
  ["vllm-max-model-len", "vllmMaxModelLen", "4096", 4_096],
  ["vllm-image", "vllmImage", "vllm/vllm-openai:latest", "vllm/vllm-openai:latest"],
  ["vllm-arg", "vllmArgs", undefined, []],
  ["vllm-volume", "vllmVolume", "orchion-vllm-weights", { _tag: "Named", name: "orchion-vllm-weights" }],
  ["vllm-memory", "vllmMemory", undefined, Option.none()],
  ["enable-ollama", "enableOllama", "false", false],
  ["ollama-model", "ollamaModel", "llama2", "llama2"],
  ["ollama-port", "ollamaPort", "11434", 11_434],
  ["ollama-gpus", "ollamaGpus", "all", "all"],
  ["ollama-image", "ollamaImage", "ollama/ollama:latest", "ollama/ollama:latest"],
  ["ollama-volume", "ollamaVolume", "orchion-ollama-models", { _tag: "Named", name: "orchion-ollama-models" }],
  ["ollama-memory", "ollamaMemory", undefined, Option.none()],
  ["engine-bind-address", "engineBindAddress", "127.0.0.1", "127.0.0.1"],
  ["keep-engines", "keepEngines", "false", false],
  ["engine-idle-timeout", "engineIdleTimeout", "10m", Duration.minutes(10)],
  ["reader-timeout", "readerTimeout", "2m", Duration.minutes(2)],
  ["drain-timeout", "drainTimeout", "30s", Duration.seconds(30)],
  ["max-requests-per-engine", "maxRequestsPerEngine", "256", 256],
  ["ollama-pull-on-demand", "ollamaPullOnDemand", "false", false]
]

describe("the settings", () => {
  it.each(table)("have --%s, with its default", (flag, key, text, value) => {
    const setting = all[key]
    assert.strictEqual(setting.name, flag)
    assert.strictEqual(setting.defaultText, text)
    assert.deepStrictEqual(valid({})[key], value)
    assert.isNotEmpty(setting.description)
  })

  it("are all there", () => {
    assert.includeMembers(Object.keys(all), table.map(([, key]) => key))
  })

  it("of the orchestrator have their defaults", () => {
    const settings = Either.getOrThrow(Setting.readTable(OrchestratorSettings.table, []))
    assert.deepInclude(settings, {
      port: 50_051,
      httpPort: 8_080,
      bindAddress: "127.0.0.1",
      heartbeatTimeout: Duration.seconds(30)
    })
  })

  it("are read from the environment by the name in capitals", () => {
    const config = valid({
      env: { ORCHION_HEARTBEAT_INTERVAL: "1m30s", ORCHION_ENABLE_VLLM: "1", ORCHION_VLLM_ARG: "--a b", OTHER: "x" }
    })
    assert.deepStrictEqual(config.heartbeatInterval, Duration.seconds(90))
    assert.isTrue(config.enableVllm)
    assert.deepStrictEqual(config.vllmArgs, ["--a b"])
  })

  it("are the command line's before the environment's, and the last one's of several", () => {
    const sources = { flags: { "agent-port": ["1", "2"] }, env: { ORCHION_AGENT_PORT: "3", ORCHION_HOSTNAME: "h" } }
    assert.strictEqual(valid(sources).agentPort, 2)
    assert.deepStrictEqual(valid(sources).hostname, Option.some("h"))
  })

  it("add up where one may be given several times, and replace those of a weaker source", () => {
    const sources = { flags: { "vllm-arg": ["--a", "--b=c"] }, env: { ORCHION_VLLM_ARG: "--d" } }
    assert.deepStrictEqual(valid(sources).vllmArgs, ["--a", "--b=c"])
  })

  it("that are bad are found in a weaker source too", () => {
    assert.strictEqual(
      problem({ flags: { "agent-port": ["1"] }, env: { ORCHION_AGENT_PORT: "many" } }),
      "--agent-port cannot be \"many\" (from ORCHION_AGENT_PORT); give a port from 1 to 65535, or 0 for a free one"
    )
    assert.include(problem({ flags: { "agent-port": ["x", "1"] } }), "cannot be \"x\" (from the command line)")
  })

  it("can be refused later, by where they came from", () => {
    const refuse = (config: AgentConfig.AgentSettings) => config.refuse("agentPort", "it is taken", "another").message
    assert.strictEqual(
      refuse(valid({ env: { ORCHION_AGENT_PORT: "7" } })),
      "--agent-port cannot be \"7\" (from ORCHION_AGENT_PORT): it is taken; give another"
    )
    assert.strictEqual(refuse(valid({})), "--agent-port cannot be \"50052\" (the default): it is taken; give another")
  })

  it("that nothing reads are most likely misspelled", () => {
    const found = Source.unknownVariables(
      { ORCHION_NODE_ID: "a", ORCHION_NODEID: "b", ORCHION_HTTP_PORT: "1", PATH: "/bin" },
      Setting.names(AgentConfig.settings)
    )
    assert.deepStrictEqual(found, ["ORCHION_HTTP_PORT", "ORCHION_NODEID"])
  })
})

describe("a bad value", () => {
  const port = "a port from 1 to 65535"
  const name = "1 to 253 characters without control characters"
  const address = "an address, such as localhost:50051, 10.0.0.7:50051 or [fd00::7]:50051"
  const interval = "a duration from 10ms to 24h, such as 500ms, 5s or 1m30s"
  it.each([
    ["agent-port", "70000", `${port}, or 0 for a free one`],
    ["agent-port", "-1", `${port}, or 0 for a free one`],
    ["agent-port", "", `${port}, or 0 for a free one`],
    ["agent-port", "1e3", `${port}, or 0 for a free one`],
    ["vllm-port", "0", port],
    ["heartbeat-interval", "0s", interval],
    ["heartbeat-interval", "5 parsecs", interval],
    ["heartbeat-interval", "5", interval],
    ["heartbeat-interval", "-5s", interval],
    ["heartbeat-interval", "25h", interval],
    ["capability-interval", "1ms", "a duration from 50ms to 24h, such as 500ms, 5s or 1m30s"],
    ["node-id", " ", name],
    ["node-id", "a\u0000b", name],
    ["node-id", "a\u200bb", name],
    ["node-id", "x".repeat(254), name],
    ["hostname", "\n", name],
    ["orchestrator", "localhost:", address],
    ["orchestrator", "localhost:0", address],
    ["orchestrator", "localhost:70000", address],
    ["orchestrator", "", address],
    ["orchestrator", "unix:/run/x", address],
    ["orchestrator", "http://localhost:50051", address],
    ["orchestrator", "fd00::7:50051", address],
    ["orchestrator", "[...]:1", address],
    ["orchestrator", "[1]:50051", address],
    ["advertise-address", ":", "an address that the orchestrator can reach, such as 10.0.0.7 or node7.lan:50052"],
    ["log-level", "loud", "one of debug, info, warn, error"],
    ["log-format", "xml", "one of auto, pretty, json"],
    ["enable-vllm", "maybe", "true or false"],
    ["vllm-gpus", "first", "all, none, indexes such as 0 or 0,1, or GPU uuids"],
    ["vllm-tensor-parallel", "0", "a whole number from 1 to 1024"],
    ["engine-bind-address", "everywhere", "an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::"],
    ["state-dir", " ", "a directory's path"],
    ["vllm-model", "", "a model's name without spaces, such as llama3.2 or org/model"]
  ])("of --%s such as %j is told with what would be valid", (flag, text, expected) => {
    assert.strictEqual(
      problem({ flags: { [flag]: [text] } }),
      `--${flag} cannot be ${quoted(text)} (from the command line); give ${expected}`
    )
  })

  it("is reported in one line, however it looks", () => {
    assert.notInclude(problem({ flags: { "node-id": ["a\nb\u001b[31m"] } }), "\n")
    assert.notInclude(problem({ flags: { "node-id": ["a\nb\u001b[31m"] } }), "\u001b")
  })
})

describe("a good value", () => {
  it.each([
    ["orchestrator", "10.0.0.7:50051", { host: "10.0.0.7", port: 50_051 }],
    ["orchestrator", "[fd00::7]:1", { host: "fd00::7", port: 1 }],
    ["orchestrator", "[fe80::1%eth0]:1", { host: "fe80::1%eth0", port: 1 }],
    ["orchestrator", "orchestrator.my_zone.lan.:65535", { host: "orchestrator.my_zone.lan.", port: 65_535 }],
    ["advertise-address", "fd00::7", Option.some({ host: "fd00::7", port: Option.none() })],
    ["advertise-address", "[fd00::7]:1", Option.some({ host: "fd00::7", port: Option.some(1) })],
    ["advertise-address", "node7.lan", Option.some({ host: "node7.lan", port: Option.none() })],
    ["orchestrator", ":50051", { host: "localhost", port: 50_051 }],
    ["orchestrator", "foo", { host: "foo", port: 50_051 }],
    ["orchestrator", "[fd00::7]", { host: "fd00::7", port: 50_051 }],
    ["orchestrator", "dns:///host:1", { host: "host", port: 1 }],
    ["orchestrator", "dns:host", { host: "host", port: 50_051 }],
    ["heartbeat-interval", "50ms", Duration.millis(50)],
    ["heartbeat-interval", "2h", Duration.hours(2)],
    ["hostname", "my desktop", Option.some("my desktop")],
    ["node-id", "a b", Option.some("a b")],
    ["node-id", "", Option.none()],
    ["hostname", "", Option.none()],
    ["advertise-address", "", Option.none()],
    ["node-id", "ü".repeat(253), Option.some("ü".repeat(253))],
    ["agent-port", "0", 0],
    ["log-level", "WARN", "warn"],
    ["enable-ollama", "T", true],
    ["vllm-gpus", "0,1", "0,1"],
    ["vllm-gpus", "GPU-5a1b,MIG-1", "GPU-5a1b,MIG-1"]
  ])("of --%s is %j", (flag, text, value) => {
    const key = table.find(([name]) => name === flag)?.[1] ?? "orchestrator"
    assert.deepStrictEqual(valid({ flags: { [flag]: [text] } })[key], value)
  })
})

describe("the state directory that no setting names", () => {
  it("is the one that systemd gives, the first of several", () => {
    assert.strictEqual(defaultStateDir({ STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }), "/var/lib/a")
  })

  it.skipIf(process.getuid?.() !== 0)("is the system's for root", () => {
    assert.strictEqual(defaultStateDir({ XDG_STATE_HOME: "/x" }), "/var/lib/orchion")
  })

  it.skipIf(process.getuid?.() === 0 || process.platform === "win32")("is the user's own otherwise", () => {
    assert.strictEqual(defaultStateDir({ XDG_STATE_HOME: "/x" }), "/x/orchion")
    const home = path.join(os.homedir(), ".local", "state", "orchion")
    assert.strictEqual(defaultStateDir({ XDG_STATE_HOME: "relative" }), home)
  })
})
