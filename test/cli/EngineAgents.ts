/** Agents that run engines: the built command, on a container engine of the tests. */
import * as StandIns from "../support/engines/StandIns.js"
import * as CommandProcess from "./CommandProcess.js"

export interface Found {
  readonly id: string
  readonly engine: string
  readonly state: string
}

/** A node on which one agent after the other runs. */
export interface Node {
  readonly id: string
  readonly start: (args?: ReadonlyArray<string>) => CommandProcess.CommandProcess
  /** Its containers, in whatever state, by engine. */
  readonly containers: () => Promise<ReadonlyArray<Found>>
}

const label = (name: string) => `io.orchion.${name}`

/** Containers with these labels. */
export const list = async (socket: string, labels: Readonly<Record<string, string>>): Promise<ReadonlyArray<Found>> => {
  const filters = JSON.stringify({ label: Object.entries(labels).map(([name, value]) => `${label(name)}=${value}`) })
  const [status, text] = await StandIns.engineAsks(
    socket,
    "GET",
    `/containers/json?all=true&filters=${encodeURIComponent(filters)}`
  )
  if (status !== 200) throw new Error(`listing containers: ${text}`)
  const found = JSON.parse(text) as ReadonlyArray<{
    readonly Id: string
    readonly State: string
    readonly Labels: Readonly<Record<string, string>>
  }>
  return found.map(({ Id, Labels, State }) => ({ id: Id, state: State, engine: Labels[label("engine")] ?? "" }))
    .sort((a, b) => a.engine < b.engine ? -1 : 1)
}

/** `args` are those of each of its agents. */
export const node = (socket: string, id: string, args: ReadonlyArray<string>): Node => {
  const stateDir = CommandProcess.temporaryFolder()
  return {
    id,
    start: (more = []) =>
      CommandProcess.start([
        ...["--node-id", id, "--state-dir", stateDir, "--agent-port", "0", "--docker-host", `unix://${socket}`],
        ...["--orchestrator", "127.0.0.1:9", "--log-format", "json"],
        ...args,
        ...more
      ], { DOCKER_HOST: "", NO_PROXY: "*" }),
    containers: () => list(socket, { "node-id": id })
  }
}

/** What a log says of an engine that serves. */
export const serves = (title: string): RegExp => new RegExp(`${title} (?:is ready|still serves)`)

/** Removes what a failed test has left of its nodes. */
export const removeAll = async (socket: string, nodes: Iterable<string>): Promise<void> => {
  for (const id of nodes) {
    for (const container of await list(socket, { "node-id": id }).catch(() => [])) {
      await StandIns.engineAsks(socket, "DELETE", `/containers/${container.id}?force=true&v=true`)
    }
  }
}
