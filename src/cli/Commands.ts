/** The commands: what each is for, the settings and flags that it takes, and examples. One truth for parser, help and completions. */
import * as AgentConfig from "../agent/AgentConfig.js"
import type { Table } from "../config/Setting.js"
import * as OrchestratorSettings from "../embedded/OrchestratorSettings.js"
import * as LogSettings from "./LogSettings.js"

export interface CommandSpec {
  /** One line, without a full stop. */
  readonly summary: string
  readonly settings: Table
  /** Switches that are no settings, with their descriptions: `json`. */
  readonly flags: Readonly<Record<string, string>>
  readonly examples: ReadonlyArray<readonly [purpose: string, command: string]>
  /** Paragraphs after the options. */
  readonly notes: ReadonlyArray<string>
}

const agent = { ...AgentConfig.settings, ...LogSettings.table }
const { orchestrator, ...agentOfDev } = agent
const { capabilityInterval, dockerHost, stateDir } = agent

/** By name; `run` is what the program does without a command. */
export const commands = {
  run: {
    summary: "Run the agent, which makes this machine a node of an Orchion cluster",
    settings: agent,
    flags: {},
    examples: [
      ["Join a cluster", "node-agent --orchestrator orchestrator.lan:50051"],
      ["Serve a model with Ollama", "node-agent --enable-ollama --ollama-model llama3.2"],
      ["Serve a model with vLLM", "node-agent --enable-vllm --vllm-model Qwen/Qwen3-8B"]
    ],
    notes: [
      "Exit codes: 0 stopped cleanly, 1 failed and may succeed if retried, 2 invalid command line, 78 invalid setting. "
      + "SIGINT, SIGTERM and SIGHUP stop the agent; a second signal ends it at once."
    ]
  },
  dev: {
    summary: "Run an orchestrator and an agent on this machine, to try things out",
    settings: { ...OrchestratorSettings.table, ...agentOfDev },
    flags: {},
    examples: [
      ["Try the page at http://localhost:8080/", "node-agent dev"],
      ["Chat with a model", "node-agent dev --enable-ollama --ollama-model llama3.2"]
    ],
    notes: ["The agent keeps its state in the subdirectory dev of the state directory, unless --state-dir is given."]
  },
  orchestrator: {
    summary: "Run the embedded orchestrator alone: a small one, for a few machines",
    settings: { ...OrchestratorSettings.table, ...LogSettings.table },
    flags: {},
    examples: [["Let agents on other machines join", "node-agent orchestrator --bind-address 0.0.0.0"]],
    notes: []
  },
  capabilities: {
    summary: "Show this machine's hardware as the agent reports it",
    settings: { capabilityInterval, orchestrator, stateDir, dockerHost, ...LogSettings.table },
    flags: {
      json: "Print JSON; schema/capabilities.schema.json describes it",
      watch: "Repeat every capability interval, in place on a terminal"
    },
    examples: [
      ["Show the hardware and what is wrong with it", "node-agent capabilities"],
      ["List the GPUs' names", "node-agent capabilities --json | jq -r '.gpus[].model'"]
    ],
    notes: ["Exit codes: 0 reported, 1 could not report."]
  }
} as const satisfies Readonly<Record<string, CommandSpec>>

export type CommandName = keyof typeof commands

/** Those that are typed: all but `run`. */
export const typed: ReadonlyArray<CommandName> = ["dev", "orchestrator", "capabilities"]

export const specOf = (name: CommandName): CommandSpec => commands[name]

export const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name)

/** Every setting that some command takes. */
export const everySetting: Table = { ...OrchestratorSettings.table, ...agent }

/** `node-agent`, `node-agent dev`. */
export const invocation = (name: CommandName): string => name === "run" ? "node-agent" : `node-agent ${name}`

/** The shells that completion scripts are made for. */
export const shells = ["bash", "zsh", "fish"] as const
export type Shell = typeof shells[number]
