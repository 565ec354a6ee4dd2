/** The command line: which words start what. */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AgentConfig from "../config/AgentConfig.js"
import * as OrchestratorConfig from "../config/OrchestratorConfig.js"
import { version } from "../Version.js"
import * as Arguments from "./Arguments.js"
import * as SettingOptions from "./SettingOptions.js"

const { orchestrator: _, ...devAgentSettings } = AgentConfig.settings
const { logFormat, logLevel } = AgentConfig.settings
const logSettings = { logLevel, logFormat }

/** The commands, and what each starts; what a command needs is loaded when it is the one that was asked for. */
const commandOf = (reserved: SettingOptions.Given) => {
  const run = Command.make(
    "node-agent",
    { given: SettingOptions.fromTable(AgentConfig.settings) },
    ({ given }) =>
      Effect.flatMap(
        Effect.promise(() => import("./RunCommand.js")),
        ({ run }) => run(SettingOptions.sources(given, reserved))
      )
  ).pipe(Command.withDescription(HelpDoc.blocks([
    HelpDoc.p("Makes this machine a node of an Orchion cluster, until it is told to stop (Ctrl-C or SIGTERM)."),
    HelpDoc.p(
      "Every setting can also be given in the environment, under the name behind its description; the command line "
        + "wins. Exit codes: 0 stopped cleanly, 2 the command line cannot be understood, 78 a setting has a bad value, "
        + "1 anything else. A second Ctrl-C ends at once. -h or --help shows this, --version the version, "
        + "--completions bash|zsh|fish a completion script."
    )
  ])))

  const dev = Command.make(
    "dev",
    {
      given: SettingOptions.fromTable({ ...OrchestratorConfig.settings, ...devAgentSettings })
    },
    ({ given }) =>
      Effect.flatMap(
        Effect.promise(() => import("./DevCommand.js")),
        ({ run }) => run(SettingOptions.sources(given, reserved))
      )
  ).pipe(Command.withDescription("Runs an orchestrator and an agent on this machine, to try things out"))

  const orchestrator = Command.make(
    "orchestrator",
    { given: SettingOptions.fromTable({ ...OrchestratorConfig.settings, ...logSettings }) },
    ({ given }) =>
      Effect.flatMap(
        Effect.promise(() => import("./OrchestratorCommand.js")),
        ({ run }) => run(SettingOptions.sources(given, reserved))
      )
  ).pipe(Command.withDescription("Runs the embedded orchestrator alone: a small one, for one machine or a few"))

  const capabilities = Command.make(
    "capabilities",
    {
      json: Options.boolean("json").pipe(Options.withDescription("Print JSON instead of a table")),
      given: SettingOptions.fromTable({
        orchestrator: AgentConfig.settings.orchestrator,
        stateDir: AgentConfig.settings.stateDir,
        dockerHost: AgentConfig.settings.dockerHost,
        ...logSettings
      })
    },
    ({ given, json }) =>
      Effect.flatMap(
        Effect.promise(() => import("./CapabilitiesCommand.js")),
        ({ run }) => run({ json }, SettingOptions.sources(given, reserved))
      )
  ).pipe(Command.withDescription("Shows what this machine's hardware is, as the agent reports it"))

  return Command.withSubcommands(run, [dev, orchestrator, capabilities])
}

/** Runs the command that a process's arguments (runtime and script first) ask for. */
export const main = (processArgv: ReadonlyArray<string>) => {
  const { argv, reserved } = Arguments.normalize(processArgv.slice(2), [
    AgentConfig.settings,
    OrchestratorConfig.settings
  ])
  const cli = Command.run(commandOf(reserved), { name: "Orchion node agent", version, executable: "node-agent" })
  return cli([...processArgv.slice(0, 2), ...argv]).pipe(
    Effect.provide(Layer.mergeAll(
      NodeFileSystem.layer,
      NodePath.layer,
      NodeTerminal.layer,
      CliConfig.layer({ showBuiltIns: false, showTypes: true, isCaseSensitive: true })
    ))
  )
}
