/** What finding Docker depends on. */
import * as os from "node:os"

export interface DockerEnvironment {
  /** The setting; takes precedence over all else. */
  readonly host?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absent for a user without one. */
  readonly homeDirectory?: string | undefined
  readonly platform: NodeJS.Platform
  /** Of the user that the agent runs as; absent where users have no number. */
  readonly uid?: number | undefined
  /** In front of `/var/run` and `/run`: another file system's root, in tests. */
  readonly root?: string | undefined
}

/** A user of a container may have no entry in its passwd file, for which Node throws. */
const homeOf = (env: DockerEnvironment["env"]): string | undefined => {
  const named = env["HOME"] ?? env["USERPROFILE"]
  if (named !== undefined && named !== "") return named
  if (env !== process.env) return undefined
  try {
    return os.homedir()
  } catch {
    return undefined
  }
}

/** The process's own, with other values for some of it. */
export const current = (
  given: Partial<Pick<DockerEnvironment, "host" | "env" | "platform" | "root">> = {}
): DockerEnvironment => {
  const env = given.env ?? process.env
  return {
    host: given.host,
    env,
    homeDirectory: homeOf(env),
    platform: given.platform ?? process.platform,
    uid: process.getuid?.(),
    root: given.root
  }
}
