/** The embedded orchestrator over HTTP: the page, the nodes and their changes as they happen, and OpenAI's API. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Handler, writeAll } from "../../net/HttpListener.js"
import type { Dispatcher } from "../dispatch/Dispatcher.js"
import { assets } from "../page/generated.js"
import type { NodeJson } from "../registry/NodeJson.js"
import type { NodeRegistry } from "../registry/NodeRegistry.js"
import type { Authenticate } from "./Authenticate.js"
import * as EventStream from "./EventStream.js"
import * as OpenAiApi from "./OpenAiApi.js"
import * as RequestBody from "./RequestBody.js"
import * as SameOrigin from "./SameOrigin.js"
import type { Hello } from "./ServerEvents.js"
import * as Summary from "./Summary.js"

export interface HttpApiOptions {
  readonly registry: NodeRegistry
  readonly dispatcher: Dispatcher
  readonly names: SameOrigin.Names
  /** The first event for each client. */
  readonly hello: () => Omit<Hello, "now_ms">
  readonly events?: EventStream.EventStreamOptions
  /** Clients that follow the events at once. Default 64. */
  readonly maxFollowers?: number
  /** Decides who may use everything but `/healthz`. Default: everyone who can reach the server. */
  readonly authenticate?: Authenticate | undefined
  /** How often a comment says that nothing of a streamed answer has come yet. Default 15 s. */
  readonly comments?: Duration.DurationInput | undefined
}

const security = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    + "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "X-Frame-Options": "DENY"
}

const notCached = { "Cache-Control": "no-store" }
const json = { "Content-Type": "application/json; charset=utf-8", ...notCached }

/** Answers with a whole body; Node itself leaves it out when only the head was asked for. */
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

/** JSON that is made and written in parts, so that a client that does not read holds no more than one of them. */
const inParts = (response: ServerResponse, headOnly: boolean, texts: Iterable<string>): Effect.Effect<void> =>
  Effect.suspend(() => {
    response.writeHead(200, { ...security, ...json })
    return headOnly ? Effect.void : writeAll(response, texts)
  })

function* arrayTexts(items: ReadonlyArray<unknown>): Iterable<string> {
  yield "["
  let separator = ""
  for (const item of items) {
    yield `${separator}${JSON.stringify(item)}`
    separator = ",\n"
  }
  // A list of none is `[]`, never `null`.
  yield "]\n"
}

const queryOf = (request: IncomingMessage) => new URLSearchParams(/\?([^#]*)/.exec(request.url ?? "")?.[1])

/** `?label=zone=a` is a label and its value, `?label=zone` any value of it, `?stale=false` the nodes that are alive. */
const filterOf = (query: URLSearchParams) => {
  const labels = query.getAll("label").slice(0, 20).map((text) => {
    const at = text.indexOf("=")
    return at < 0 ? { key: text, value: undefined } : { key: text.slice(0, at), value: text.slice(at + 1) }
  })
  const stale = query.get("stale")
  return (node: NodeJson) => {
    const has: Readonly<Record<string, string>> = node.capabilities?.labels ?? {}
    return (stale === null || String(node.stale) === stale)
      && labels.every(({ key, value }) => Object.hasOwn(has, key) && (value === undefined || has[key] === value))
  }
}

type Route = (request: IncomingMessage, response: ServerResponse, headOnly: boolean) => Effect.Effect<void>

const nodes = (registry: NodeRegistry): Route => (request, response, headOnly) =>
  Effect.flatMap(
    registry.list,
    (list) => inParts(response, headOnly, arrayTexts(list.filter(filterOf(queryOf(request)))))
  )

const history = (registry: NodeRegistry): Route => (request, response) => {
  const id = queryOf(request).get("node")
  return id === null || id === ""
    ? refuse(response, 400, "say which node: /api/history?node=ID")
    : registry.gpuHistory(id).pipe(Effect.matchEffect({
      onSuccess: (known) => answer(response, 200, json, `${JSON.stringify(known)}\n`),
      onFailure: ({ message }) => refuse(response, 404, message)
    }))
}

const served = (dispatcher: Dispatcher): Route => (_, response, headOnly) =>
  Effect.flatMap(dispatcher.served, ({ served }) =>
    inParts(
      response,
      headOnly,
      (function*() {
        yield "{\"served\":"
        yield* arrayTexts(served)
        yield "}\n"
      })()
    ))

/** The changes as server-sent events, for a limited number of clients. */
const follow = ({ events, hello, maxFollowers = 64, registry }: HttpApiOptions) =>
  Effect.sync((): Route => {
    let followers = 0
    return (_, response, headOnly) =>
      Effect.suspend(() => {
        if (followers >= maxFollowers) {
          return refuse(response, 503, `${maxFollowers} clients already follow the events`, { "Retry-After": "5" })
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
  })

const asset = ({ body, etag, type }: (typeof assets)[keyof typeof assets]): Route => (request, response) => {
  const headers = { "Content-Type": type, "Cache-Control": "no-cache", ETag: etag }
  return request.headers["if-none-match"] === etag
    ? Effect.sync(() => void response.writeHead(304, { ...security, ...headers }).end())
    : answer(response, 200, headers, body)
}

const health: Route = (_, response) =>
  answer(response, 200, { "Content-Type": "text/plain; charset=utf-8", ...notCached }, "ok\n")

export const make = (options: HttpApiOptions): Effect.Effect<Handler> =>
  Effect.gen(function*() {
    const { authenticate, dispatcher, names, registry } = options
    const openAi = OpenAiApi.make({
      dispatcher,
      bodies: yield* RequestBody.make(),
      headers: { ...security, ...notCached },
      comments: options.comments
    })
    const routes = new Map<string, Route>([
      ["/healthz", health],
      ["/api/nodes", nodes(registry)],
      [
        "/api/summary",
        (_, response) =>
          Effect.flatMap(
            registry.list,
            (list) => answer(response, 200, json, `${JSON.stringify(Summary.make(list))}\n`)
          )
      ],
      ["/api/history", history(registry)],
      ["/api/served", served(dispatcher)],
      ["/api/events", yield* follow(options)],
      ...Object.entries(assets).map(([path, file]) => [path, asset(file)] as const)
    ])

    const read = (path: string, request: IncomingMessage, response: ServerResponse) => {
      const route = routes.get(path)
      if (route === undefined) return refuse(response, 404, "there is nothing here; the page is at /")
      return request.method === "GET" || request.method === "HEAD"
        ? route(request, response, request.method === "HEAD")
        : refuse(response, 405, `${path} can only be read`, { Allow: "GET, HEAD" })
    }

    const handle: Handler = (request, response) =>
      Effect.suspend(() => {
        response.setHeader("Cross-Origin-Resource-Policy", "same-origin")
        const path = (request.url ?? "").replace(/[?#].*$/s, "")
        const isOpenAi = path.startsWith("/v1/")
        const refused = SameOrigin.refusal(request.headers, names)
        if (refused !== undefined && !(isOpenAi && SameOrigin.isProgram(request.headers, request.method))) {
          return isOpenAi ? openAi.refuse(response, 403, refused) : refuse(response, 403, refused)
        }
        const cors = SameOrigin.corsHeaders(request.headers, names)
        if (cors !== undefined) {
          for (const [name, value] of Object.entries(cors)) response.setHeader(name, value)
          if (request.method === "OPTIONS") return Effect.sync(() => void response.writeHead(204).end())
        }
        const go = () => isOpenAi ? openAi.handle(path, request, response) : read(path, request, response)
        return authenticate === undefined || path === "/healthz" ? go() : Effect.matchEffect(authenticate(request), {
          onFailure: ({ challenge, message }) => {
            if (challenge !== undefined) response.setHeader("WWW-Authenticate", challenge)
            return isOpenAi ? openAi.refuse(response, 401, message) : refuse(response, 401, message)
          },
          onSuccess: go
        })
      })
    return handle
  })
