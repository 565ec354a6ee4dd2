/** The settings of the state directory and of the identity in it. */
import * as os from "node:os"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"

export const table = Setting.group("Node", {
  nodeId: Setting.optional("node-id", Format.identifier("id"), {
    description: "ID of this node in the cluster",
    note: "generated once and kept in the state directory"
  }),
  stateDir: Setting.optional("state-dir", Format.text("directory", "a directory's path"), {
    description: "Directory for the node's identity and state",
    note: "$STATE_DIRECTORY, else /var/lib/orchion as root, else $XDG_STATE_HOME/orchion"
  })
})

/** The values of {@link table}. */
export class StateSettings
  extends Context.Tag("@orchion/node-agent/StateSettings")<StateSettings, Setting.Settings<typeof table>>()
{}

/** The user's home directory; `undefined` for a user who has neither HOME nor an entry in the user database. */
const homeDirectory = (): string | undefined => {
  try {
    const home = os.homedir()
    return home === "" ? undefined : home
  } catch {
    return undefined
  }
}

/** The state directory when no setting names one; `undefined` for a user without a home directory. */
export const defaultStateDir = (env: NodeJS.ProcessEnv = process.env): string | undefined => {
  // systemd lists several directories with colons in between; the first is ours.
  const systemd = env["STATE_DIRECTORY"]?.split(":")[0]
  if (systemd !== undefined && systemd !== "") return systemd
  if (process.getuid?.() === 0) return "/var/lib/orchion"
  const xdg = env["XDG_STATE_HOME"]
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, "orchion")
  const home = homeDirectory()
  if (process.platform === "win32") {
    const local = env["LOCALAPPDATA"] ?? home
    return local === undefined ? undefined : path.join(local, "Orchion")
  }
  return home === undefined ? undefined : path.join(home, ".local", "state", "orchion")
}

/** The state directory of these settings; `undefined` where there is none to be had. */
export const stateDir = (settings: Pick<StateSettings["Type"], "stateDir">): string | undefined =>
  Option.getOrElse(settings.stateDir, () => defaultStateDir())
