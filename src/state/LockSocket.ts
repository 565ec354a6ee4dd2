/**
 * A Unix socket in a directory that proves that its owner is running: it accepts connections across containers, users
 * and pid namespaces, and the kernel closes it when the process exits.
 */
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as SystemError from "../text/SystemError.js"

/** The longest address of a Unix socket, its final zero byte left out: 104 bytes on macOS and BSD, 108 on Linux. */
const maxPathBytes = 103

/** Connections beyond this are refused; each accepted one is closed immediately. */
const maxConnections = 16

const isSupported = process.platform !== "win32"

/**
 * Calls `use` with an address of the socket that is short enough: libuv silently truncates longer ones and so creates a
 * socket elsewhere. On Linux an open directory has a short path. `undefined` where there is none.
 */
const withAddress = <A>(file: string, use: (address: string, close: () => void) => A): A | undefined => {
  if (Buffer.byteLength(file) <= maxPathBytes) return use(file, () => {})
  if (process.platform !== "linux") return undefined
  const directory = fs.openSync(path.dirname(file), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  return use(`/proc/self/fd/${directory}/${path.basename(file)}`, () => fs.closeSync(directory))
}

export interface LockSocket {
  /** Closes it; removing the file is up to the caller. */
  readonly close: () => void
}

/**
 * Listens, with mode 0600. `undefined` where sockets are not possible: on Windows, at paths that are too long, on file
 * systems without them. Fails with the system's error otherwise.
 */
export const listen = (file: string): Effect.Effect<LockSocket | undefined, unknown> =>
  Effect.async<LockSocket | undefined, unknown>((resume) => {
    if (!isSupported) return resume(Effect.succeed(undefined))
    const server = net.createServer((socket) => {
      socket.on("error", () => {})
      socket.destroy()
    })
    server.maxConnections = maxConnections
    try {
      const listening = withAddress(file, (address, close) => {
        server.once("error", (error) => {
          close()
          const code = SystemError.codeOf(error)
          resume(
            code === "ENOTSUP" || code === "EOPNOTSUPP" || code === "EPERM" || code === "EINVAL" || code === "ENOSYS"
              ? Effect.succeed(undefined)
              : Effect.fail(error)
          )
        })
        server.listen(address, () => {
          server.removeAllListeners("error")
          // Running out of file descriptors must not end the process.
          server.on("error", () => {})
          // It must not keep the process running.
          server.unref()
          close()
          resume(
            Effect.try(() => {
              fs.chmodSync(file, 0o600)
              return { close: () => void server.close() }
            })
          )
        })
        return true
      })
      if (listening === undefined) resume(Effect.succeed(undefined))
    } catch (error) {
      resume(Effect.fail(error))
    }
  })

/** Whether a process listens. When neither a connection nor a clear refusal comes, it counts as alive. */
export const isAlive = (file: string): Effect.Effect<boolean> =>
  Effect.async<boolean>((resume) => {
    if (!isSupported) return resume(Effect.succeed(false))
    try {
      const connecting = withAddress(file, (address, close) => {
        const socket = net.connect(address)
        const done = (alive: boolean) => {
          close()
          socket.removeAllListeners()
          socket.on("error", () => {})
          socket.destroy()
          resume(Effect.succeed(alive))
        }
        socket.setTimeout(1_000, () => done(true))
        socket.once("connect", () => done(true))
        socket.once("error", (error) => {
          const code = SystemError.codeOf(error)
          done(code !== "ECONNREFUSED" && code !== "ENOENT" && code !== "ENOTSOCK" && code !== "ENOTDIR")
        })
        return true
      })
      if (connecting === undefined) resume(Effect.succeed(false))
    } catch {
      resume(Effect.succeed(false))
    }
  })
