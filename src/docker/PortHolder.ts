/** Finds out who listens on a port of this machine. */
import * as fs from "node:fs/promises"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Container from "./api/Container.js"
import type * as DockerError from "./api/DockerError.js"

/** The kernel's number for a socket that listens. */
const listening = "0A"
/** UDP has no connections; this is what a bound socket shows. */
const unconnected = "07"

/** The kernel's ids of the sockets that are bound to a port. */
const inodes = async (port: number, protocol: string): Promise<Set<string>> => {
  const found = new Set<string>()
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0")
  const wanted = protocol === "udp" ? unconnected : listening
  for (const file of [`/proc/net/${protocol}`, `/proc/net/${protocol}6`]) {
    const text = await fs.readFile(file, "utf8").catch(() => "")
    for (const line of text.split("\n").slice(1)) {
      const columns = line.trim().split(/\s+/)
      if (columns[1]?.endsWith(`:${hexPort}`) === true && columns[3] === wanted && columns[9] !== undefined) {
        found.add(columns[9])
      }
    }
  }
  return found
}

/** The process that has one of these sockets open. Those of other users can be looked at by root only. */
const processWith = async (
  sockets: ReadonlySet<string>,
  signal: AbortSignal
): Promise<DockerError.PortHolder | undefined> => {
  const pids = (await fs.readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    for (const descriptor of await fs.readdir(`/proc/${pid}/fd`).catch(() => [])) {
      if (signal.aborted) return undefined
      const link = await fs.readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => "")
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1]
      if (inode === undefined || !sockets.has(inode)) continue
      const name = await fs.readFile(`/proc/${pid}/comm`, "utf8").catch(() => "a program")
      return { _tag: "Process", pid: Number(pid), name: name.trim() }
    }
  }
  return undefined
}

/** `undefined` when it cannot be known, or not within 3 s. */
export const find = (
  port: number,
  protocol: string,
  containers: ReadonlyArray<Container.ContainerSummary>
): Effect.Effect<DockerError.PortHolder | undefined> => {
  const container = containers.find((container) =>
    container.ports.some((published) => published.host === port && published.protocol === protocol)
  )
  if (container !== undefined) {
    return Effect.succeed({ _tag: "Container", id: container.id, name: container.name })
  }
  if (process.platform !== "linux") return Effect.succeed(undefined)
  return Effect.tryPromise(async (signal) => {
    const sockets = await inodes(port, protocol)
    return sockets.size === 0 ? undefined : processWith(sockets, signal)
  }).pipe(
    Effect.timeoutOption(Duration.seconds(3)),
    Effect.map(Option.getOrUndefined),
    Effect.orElseSucceed(() => undefined)
  )
}
