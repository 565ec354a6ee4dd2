/** The setting of the container runtime. */
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"

export const table = Setting.group("Engine", {
  dockerHost: Setting.optional("docker-host", Format.text("url", "a URL such as unix:///var/run/docker.sock"), {
    description: "Docker or Podman endpoint",
    note: "found as the docker command finds it"
  })
})
