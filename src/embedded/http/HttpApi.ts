/** The embedded orchestrator over HTTP: the page, the nodes and their changes as they happen, and OpenAI's API. */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import type { Dispatcher } from "../dispatch/Dispatcher.js"
import * as EventStream from "./EventStream.js"
import { type Handler, write } from "../../net/HttpListener.js"
import type { NodeRegistry } from "../registry/NodeRegistry.js"
import * as OpenAiApi from "./OpenAiApi.js"
import { assets } from "../page/generated.js"
import * as SameOrigin from "./SameOrigin.js"
import type { Hello } from "./ServerEvents.js"

export interface HttpApiOptions {
  readonly registry: NodeRegistry["Type"]
  readonly dispatcher: Dispatcher["Type"]
  readonly names: SameOrigin.Names
  /** What clients of the events are told first. */
  readonly hello: () => Omit<Hello, "now_ms">
  readonly events?: EventStream.EventStreamOptions
  /** Of clients that follow the events at once. Default 64. */
  readonly maxFollowers?: number
}

const security = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    + "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "X-Frame-Options": "DENY"
}

const notCached = { "Cache-Control": "no-store" }
const json = { "Content-Type": "application/json; charset=utf-8", ...notCached }

/** Answers with a whole body; Node itself leaves it out when it was asked for the head only. */
const answer = (
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string
): Effect.Effect<void> =>
  Effect.sync(() => {
    response.writeHead(status, { ...security, ...headers, "Content-Length": Buffer.byteLength(body) }).end(body)
  })

const refuse = (
  response: ServerResponse,
  status: number,
  error: string,
  headers: Readonly<Record<string, string>> = {}
) => answer(response, status, { ...json, ...headers }, `${JSON.stringify({ error })}\n`)

/** Nodes per part of the list: small enough that making one holds up nothing else. */
const nodesPerPart = 50

export const make = ({ dispatcher, events, hello, maxFollowers = 64, names, registry }: HttpApiOptions): Handler => {
  let followers = 0
  const openAi = OpenAiApi.make({ dispatcher, headers: { ...security, ...notCached } })

  const nodes = (response: ServerResponse, headOnly: boolean) =>
    Effect.gen(function*() {
      response.writeHead(200, { ...security, ...json })
      if (headOnly) return
      const list = yield* registry.list
      // A list of none is `[]`, never `null`.
      for (let from = 0; from === 0 || from < list.length; from += nodesPerPart) {
        const part = list.slice(from, from + nodesPerPart).map((node) => JSON.stringify(node)).join(",\n")
        const last = from + nodesPerPart >= list.length
        yield* write(response, `${from === 0 ? "[" : ",\n"}${part}${last ? "]\n" : ""}`)
      }
    })

  const history = (request: IncomingMessage, response: ServerResponse) => {
    const id = new URLSearchParams(/\?([^#]*)/.exec(request.url ?? "")?.[1]).get("node")
    return id === null || id === ""
      ? refuse(response, 400, "say which node: /api/history?node=ID")
      : registry.gpuHistory(id).pipe(Effect.matchEffect({
        onSuccess: (known) => answer(response, 200, json, `${JSON.stringify(known)}\n`),
        onFailure: ({ message }) => refuse(response, 404, message)
      }))
  }

  const follow = (response: ServerResponse, headOnly: boolean) =>
    Effect.suspend(() => {
      if (followers >= maxFollowers) {
        return refuse(response, 503, `${maxFollowers} clients follow the events already`, { "Retry-After": "5" })
      }
      response.writeHead(200, {
        ...security,
        ...notCached,
        "Content-Type": "text/event-stream; charset=utf-8",
        // So that the end of the events, at the server's close, is the end of the connection.
        Connection: "close"
      })
      if (headOnly) return Effect.void
      // The client is to know that it is connected, whenever the first event may come.
      response.flushHeaders()
      return Effect.acquireUseRelease(
        Effect.sync(() => followers += 1),
        () => EventStream.run(response, registry, hello(), events),
        () => Effect.sync(() => followers -= 1)
      )
    })

  const asset = (request: IncomingMessage, response: ServerResponse, { body, etag, type }: Asset) => {
    const headers = { "Content-Type": type, "Cache-Control": "no-cache", ETag: etag }
    return request.headers["if-none-match"] === etag
      ? Effect.sync(() => void response.writeHead(304, { ...security, ...headers }).end())
      : answer(response, 200, headers, body)
  }

  const routes = new Map<
    string,
    (request: IncomingMessage, response: ServerResponse, headOnly: boolean) => Effect.Effect<void>
  >([
    [
      "/healthz",
      (_, response) => answer(response, 200, { "Content-Type": "text/plain; charset=utf-8", ...notCached }, "ok\n")
    ],
    ["/api/nodes", (_, response, headOnly) => nodes(response, headOnly)],
    ["/api/history", history],
    [
      "/api/served",
      (_, response) =>
        Effect.flatMap(dispatcher.served, (served) => answer(response, 200, json, `${JSON.stringify(served)}\n`))
    ],
    ["/api/events", (_, response, headOnly) => follow(response, headOnly)]
  ])
  for (const [path, file] of Object.entries(assets)) {
    routes.set(path, (request, response) => asset(request, response, file))
  }

  return (request, response) =>
    Effect.suspend(() => {
      const refused = SameOrigin.refusal(request.headers, names)
      const path = (request.url ?? "").replace(/[?#].*$/s, "")
      if (path.startsWith("/v1/")) {
        return refused === undefined || SameOrigin.isProgram(request.headers)
          ? openAi.handle(path, request, response)
          : openAi.refuse(response, 403, refused)
      }
      if (refused !== undefined) return refuse(response, 403, refused)
      const route = routes.get(path)
      if (route === undefined) return refuse(response, 404, "there is nothing here; the page is at /")
      return request.method === "GET" || request.method === "HEAD"
        ? route(request, response, request.method === "HEAD")
        : refuse(response, 405, `${path} is only for reading`, { Allow: "GET, HEAD" })
    })
}

type Asset = (typeof assets)[keyof typeof assets]
