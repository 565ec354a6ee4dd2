/** The command line: which words start what. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { settings as agentRooms } from "../agent/AgentConfig.js"
import type * as Setting from "../config/Setting.js"
import * as Source from "../config/Source.js"
import { table as orchestratorSettings } from "../embedded/OrchestratorSettings.js"
import { version } from "../Version.js"
import * as Arguments from "./Arguments.js"
import * as Help from "./Help.js"
import { table as logSettings } from "./LogSettings.js"

const agentSettings = { ...agentRooms, ...logSettings }
const { capabilityInterval, dockerHost, logFormat, logLevel, orchestrator, stateDir } = agentSettings
const { orchestrator: _orchestrator, ...devAgentSettings } = agentSettings

/** The commands; the root runs the agent. */
const topics = {
  "": {
    summary: "Makes this machine a node of an Orchion cluster, until it is told to stop (Ctrl-C or SIGTERM).",
    settings: agentSettings,
    flags: {},
    details: [
      "Exit codes: 0 stopped cleanly; 2 the command line cannot be understood; 78 a setting has a value that it cannot "
      + "have; 1 anything else. A second Ctrl-C ends at once."
    ]
  },
  dev: {
    summary: "Runs an orchestrator and an agent on this machine, to try things out",
    settings: { ...orchestratorSettings, ...devAgentSettings },
    flags: {},
    details: [
      "The agent keeps its identity in the subdirectory dev of the state directory, unless --state-dir is given."
    ]
  },
  orchestrator: {
    summary: "Runs the embedded orchestrator alone: a small one, for a few machines",
    settings: { ...orchestratorSettings, logLevel, logFormat },
    flags: {},
    details: []
  },
  capabilities: {
    summary: "Shows what this machine's hardware is, as the agent reports it",
    settings: { capabilityInterval, orchestrator, stateDir, dockerHost, logLevel, logFormat },
    flags: {
      json: "Print JSON instead of a table (schema/capabilities.schema.json in the package describes it)",
      watch: "Look again every capability interval, in place on a terminal"
    },
    details: ["Exit codes: 0 it could report; 1 it could not."]
  }
} as const satisfies Readonly<Record<string, Help.HelpTopic>>

/**
 * The commands, each loading what it needs only when it is the one that was asked for. The settings' values were read
 * by {@link Arguments}; as options they stand here for completions and the wizard, and cost a start of the agent
 * nothing.
 */
const commandOf = (given: Arguments.Given, showsOptions: boolean) => {
  const optionsOf = (table: Setting.Table): Options.Options<Arguments.Given> =>
    showsOptions
      ? Options.all(Object.fromEntries(
        Object.values(table).map((setting) => [
          setting.name,
          Options.repeated(
            Options.text(setting.name).pipe(
              Options.withPseudoName(setting.format.placeholder),
              Options.withDescription(setting.description)
            )
          )
        ])
      ))
      : Options.map(Options.none, () => ({}))
  const sources = (fromWizard: Arguments.Given): ReadonlyArray<Source.Source> => [
    Source.commandLine({ ...fromWizard, ...given }),
    Source.environment(process.env)
  ]
  const run = Command.make(
    "node-agent",
    { settings: optionsOf(topics[""].settings) },
    ({ settings }) =>
      Effect.flatMap(Effect.promise(() => import("./RunCommand.js")), ({ run }) => run(sources(settings)))
  )
  const dev = Command.make(
    "dev",
    { settings: optionsOf(topics.dev.settings) },
    ({ settings }) =>
      Effect.flatMap(Effect.promise(() => import("./DevCommand.js")), ({ run }) => run(sources(settings)))
  ).pipe(
    Command.withDescription(topics.dev.summary)
  )
  const orchestrator = Command.make(
    "orchestrator",
    { settings: optionsOf(topics.orchestrator.settings) },
    ({ settings }) =>
      Effect.flatMap(Effect.promise(() => import("./OrchestratorCommand.js")), ({ run }) => run(sources(settings)))
  ).pipe(Command.withDescription(topics.orchestrator.summary))
  const capabilities = Command.make(
    "capabilities",
    {
      json: Options.boolean("json").pipe(Options.withDescription(topics.capabilities.flags.json)),
      watch: Options.boolean("watch").pipe(Options.withDescription(topics.capabilities.flags.watch)),
      settings: optionsOf(topics.capabilities.settings)
    },
    ({ json, settings, watch }) =>
      Effect.flatMap(
        Effect.promise(() => import("./CapabilitiesCommand.js")),
        ({ run }) => run({ json, watch }, sources(settings))
      )
  ).pipe(Command.withDescription(topics.capabilities.summary))

  return Command.withSubcommands(run, [dev, orchestrator, capabilities])
}

/** Runs the command that a process's arguments (runtime and script first) ask for. */
export const main = (processArgv: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { argv, command, given, wantsHelp } = yield* Arguments.read(processArgv.slice(2), topics)
    if (wantsHelp) {
      const color = process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === ""
      const text = Help.render(command, topics, { color, width: process.stdout.columns ?? 100 })
      return yield* Effect.sync(() => void process.stdout.write(`${text}\n`))
    }
    const showsOptions = argv.includes("--completions") || argv.includes("--wizard")
    const cli = Command.run(commandOf(given, showsOptions), {
      name: "Orchion node agent",
      version,
      executable: "node-agent"
    })
    yield* cli([...processArgv.slice(0, 2), ...argv])
  }).pipe(Effect.provide(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)))
