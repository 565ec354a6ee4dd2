/**
 * How many connections a server accepts, from one peer and in all. Connections that do nothing give way to new ones; when all
 * of them work, new ones are refused, and the busy ones continue.
 */
import * as fs from "node:fs"
import type { Socket } from "node:net"

/** The other end of a connection: what a socket says while it is open. */
export type PeerEnd = Pick<Socket, "remoteAddress" | "remotePort">

export interface ConnectionLimits {
  /** In all. Never more than half of the process's file descriptors. */
  readonly total: number
  /** From one address, this machine's own excepted. */
  readonly perPeer: number
  /** A connection that has sent less than `firstBytes` by then is closed. Milliseconds. */
  readonly firstBytesWithin: number
  /** How much a client has to send before it counts as one. */
  readonly firstBytes: number
}

export interface Refusal {
  readonly peer: string
  readonly reason: "total" | "per-peer"
  /** What was reached. */
  readonly limit: number
}

export interface Connections {
  /** Whether the connection may stay; one that may not is closed. */
  readonly accept: (socket: Socket) => boolean
  /** Counts what is going on on a connection; returns what ends it. */
  readonly begin: (end: PeerEnd) => () => void
  /** Those that are open. */
  readonly size: () => number
}

interface Entry {
  readonly socket: Socket
  readonly peer: string
  busy: number
}

/** How many files the process may have open; `undefined` where the system does not say. */
const descriptorLimit = (): number | undefined => {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "latin1"))?.[1]
    return found === undefined ? undefined : Number(found)
  } catch {
    return undefined
  }
}

// Not the socket itself: HTTP/2 and TLS show others in its place.
const keyOf = ({ remoteAddress, remotePort }: PeerEnd) => `${remoteAddress ?? ""} ${remotePort ?? ""}`

const isLocal = (address: string) => address === "::1" || /^(?:::ffff:)?127\./.test(address)

/** Connections of one server. `onRefusal` is called for each that is turned away. */
export const make = (limits: ConnectionLimits, onRefusal: (refusal: Refusal) => void): Connections => {
  const descriptors = descriptorLimit()
  const total = descriptors === undefined
    ? limits.total
    : Math.max(8, Math.min(limits.total, Math.floor(descriptors / 2)))
  // In the order in which they became idle.
  const entries = new Map<string, Entry>()
  const perPeer = new Map<string, number>()

  const closeIdle = (peer: string | undefined): boolean => {
    for (const [key, { busy, peer: of, socket }] of entries) {
      if (busy > 0 || (peer !== undefined && of !== peer)) continue
      forget(key)
      socket.destroy()
      return true
    }
    return false
  }

  const forget = (key: string) => {
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    const left = (perPeer.get(entry.peer) ?? 1) - 1
    if (left > 0) perPeer.set(entry.peer, left)
    else perPeer.delete(entry.peer)
  }

  const refuse = (socket: Socket, refusal: Refusal): false => {
    socket.destroy()
    onRefusal(refusal)
    return false
  }

  return {
    size: () => entries.size,
    begin: (end) => {
      const key = keyOf(end)
      const entry = entries.get(key)
      if (entry === undefined) return () => {}
      entry.busy += 1
      let ended = false
      return () => {
        if (ended) return
        ended = true
        entry.busy -= 1
        if (entry.busy > 0 || entries.get(key) !== entry) return
        entries.delete(key)
        entries.set(key, entry)
      }
    },
    accept: (socket) => {
      const key = keyOf(socket)
      const peer = socket.remoteAddress ?? ""
      const ofPeer = perPeer.get(peer) ?? 0
      if (!isLocal(peer) && ofPeer >= limits.perPeer && !closeIdle(peer)) {
        return refuse(socket, { peer, reason: "per-peer", limit: limits.perPeer })
      }
      if (entries.size >= total && !closeIdle(undefined)) {
        return refuse(socket, { peer, reason: "total", limit: total })
      }
      entries.set(key, { socket, peer, busy: 0 })
      perPeer.set(peer, (perPeer.get(peer) ?? 0) + 1)
      const silent = setTimeout(() => {
        if (socket.bytesRead < limits.firstBytes) socket.destroy()
      }, limits.firstBytesWithin)
      silent.unref()
      socket.once("close", () => {
        clearTimeout(silent)
        if (entries.get(key)?.socket === socket) forget(key)
      })
      return true
    }
  }
}
