/** The entry point of the command. */
import * as Effect from "effect/Effect"
import * as Source from "../config/Source.js"
import { version } from "../Version.js"
import * as CommandLine from "./CommandLine.js"

const print = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stdout.write(`${text}\n`))

/** The width of the terminal that help is for; `COLUMNS` where there is none. */
const width = (): number => process.stdout.columns || Number(process.env["COLUMNS"]) || 80

const help = (command: Extract<CommandLine.Request, { _tag: "Help" }>["command"]) =>
  Effect.flatMap(Effect.promise(() => import("./Help.js")), ({ render }) =>
    print(render(command, {
      color: process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "",
      width: width()
    })))

/** Each command is loaded only when it runs. */
const run = ({ command, flags, given }: Extract<CommandLine.Request, { _tag: "Run" }>) => {
  const sources = [Source.commandLine(given), Source.environment(process.env)]
  switch (command) {
    case "run":
      return Effect.flatMap(Effect.promise(() => import("./RunCommand.js")), ({ run }) => run(sources))
    case "dev":
      return Effect.flatMap(Effect.promise(() => import("./DevCommand.js")), ({ run }) => run(sources))
    case "orchestrator":
      return Effect.flatMap(Effect.promise(() => import("./OrchestratorCommand.js")), ({ run }) => run(sources))
    case "capabilities":
      return Effect.flatMap(
        Effect.promise(() => import("./CapabilitiesCommand.js")),
        ({ run }) => run({ json: flags["json"] === true, watch: flags["watch"] === true }, sources)
      )
  }
}

/** Does what a process's arguments (runtime and script first) ask for. */
export const main = (processArgv: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const request = yield* CommandLine.parse(processArgv.slice(2))
    switch (request._tag) {
      case "Help":
        return yield* help(request.command)
      case "Version":
        return yield* print(version)
      case "Completions":
        return yield* Effect.flatMap(
          Effect.promise(() => import("./Completions.js")),
          ({ script }) => print(script(request.shell))
        )
      case "Run":
        return yield* run(request)
    }
  })
