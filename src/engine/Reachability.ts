/** Whether the agent can connect to an engine at all, and whether that could be its own fault. */
import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as Effect from "effect/Effect"
import * as SystemError from "../text/SystemError.js"

/** Whether a TCP connection is refused or impossible, as opposed to slow or fine. */
export const isRefused = (baseUrl: string): Effect.Effect<boolean> =>
  Effect.async<boolean>((resume) => {
    const { hostname, port, protocol } = new URL(baseUrl)
    const socket = net.connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || (protocol === "https:" ? 443 : 80))
    })
    socket.on("connect", () => resume(Effect.succeed(false)))
    socket.on("error", (error) =>
      resume(Effect.succeed(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"].includes(SystemError.codeOf(error) ?? ""))))
    return Effect.sync(() =>
      socket.destroy()
    )
  }).pipe(
    Effect.timeoutTo({ duration: "2 seconds", onSuccess: (refused) => refused, onTimeout: () => false })
  )

/** Whether this process is in a container of Docker or Podman. */
export const isInContainer: Effect.Effect<boolean> = Effect.promise(async () => {
  const isThere = (path: string) => fs.access(path).then(() => true, () => false)
  return await isThere("/.dockerenv") || await isThere("/run/.containerenv")
})
