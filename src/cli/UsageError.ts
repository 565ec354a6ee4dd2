/** The command line cannot be understood. */
import * as Data from "effect/Data"
import { oneLine } from "../text/Printable.js"

export class UsageError extends Data.TaggedError("UsageError")<{
  /** What is wrong, without a full stop; may hold what was typed, as it was typed. */
  readonly problem: string
  /** The command whose help would help: `dev`; `run` for the agent itself. */
  readonly command: string
}> {
  override get message(): string {
    const command = this.command === "run" ? "" : ` ${this.command}`
    return `${oneLine(this.problem)}; see node-agent${command} --help`
  }
}
