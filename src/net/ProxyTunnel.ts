/** A connection through an HTTP proxy: CONNECT on a socket that is connected to the proxy. */
import type { Socket } from "node:net"
import * as Printable from "../text/Printable.js"
import * as HostPort from "./HostPort.js"
import type { Proxy } from "./Proxy.js"

/** How long the proxy may take to answer. Milliseconds. */
const patience = 20_000

/** The head of an answer, in bytes. */
const maxHead = 16 * 1024

const refusal = (proxy: Proxy, target: string, why: string): Error =>
  new Error(
    `proxy: the proxy ${HostPort.format(proxy.address)} (${proxy.variable}) does not connect to ${target}: ${why}; `
      + `to go there directly, add ${target.replace(/:\d+$/, "")} to no_proxy`
  )

const request = ({ credentials }: Proxy, target: string): string =>
  [
    `CONNECT ${target} HTTP/1.1`,
    `Host: ${target}`,
    ...(credentials === undefined
      ? []
      : [`Proxy-Authorization: Basic ${Buffer.from(credentials).toString("base64")}`]),
    "",
    ""
  ].join("\r\n")

/** Resolves once the socket leads to the target; rejects with words for a person when the proxy refuses. */
export const open = (socket: Socket, proxy: Proxy, target: string): Promise<void> =>
  new Promise((resolve, reject) => {
    let head = Buffer.alloc(0)
    const done = (error?: Error) => {
      clearTimeout(timer)
      socket.off("data", onData)
      socket.off("error", onError)
      socket.off("close", onClose)
      if (error === undefined) return resolve()
      socket.destroy()
      reject(error)
    }
    const onError = (error: Error) => done(refusal(proxy, target, error.message))
    const onClose = () => done(refusal(proxy, target, "it closed the connection"))
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf("\r\n\r\n")
      if (end < 0) {
        return head.length > maxHead ? done(refusal(proxy, target, "it does not answer as a proxy")) : undefined
      }
      const status = /^HTTP\/1\.[01] (\d{3})(?: ([^\r\n]{0,100}))?/.exec(head.toString("latin1", 0, 300))
      if (status?.[1] !== "200") {
        const said = status === null ? "it does not answer as a proxy" : `it answers ${status[1]} ${status[2] ?? ""}`
        return done(refusal(proxy, target, Printable.oneLine(said)))
      }
      socket.pause()
      done()
      // What came after the head is the target's.
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4))
    }
    const timer = setTimeout(() => done(refusal(proxy, target, "it does not answer")), patience)
    timer.unref()
    socket.on("data", onData)
    socket.on("error", onError)
    socket.on("close", onClose)
    socket.write(request(proxy, target))
  })
