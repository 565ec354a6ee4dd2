/** The settings of the log. */
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"

export const table = Setting.group("Logging", {
  logLevel: Setting.setting("log-level", Format.choice("debug", "info", "warn", "error"), {
    description: "Minimum log level",
    default: "info"
  }),
  logFormat: Setting.setting("log-format", Format.choice("auto", "pretty", "json"), {
    description: "Log format; auto is pretty on a terminal and JSON elsewhere",
    default: "auto"
  })
})

/** The values of {@link table}. */
export type LogSettings = Setting.ValuesOf<typeof table>
