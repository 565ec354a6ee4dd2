import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Proxy from "../../src/net/Proxy.js"
import * as ProxyTunnel from "../../src/net/ProxyTunnel.js"
import * as CpuTime from "../support/CpuTime.js"

const target = { host: "orchestrator.lan", port: 50_051 }
const address = { host: "proxy.lan", port: 3128 }

const of = (environment: Readonly<Record<string, string>>, secure = false, to = target) =>
  Proxy.fromEnvironment(to, secure, environment)

describe("a proxy of the environment", () => {
  it("is that of plain text or that of TLS, in either case, and grpc_proxy's before both", () => {
    const value = "http://proxy.lan:3128"
    assert.deepStrictEqual(of({ http_proxy: value }), { address, variable: "http_proxy" })
    assert.deepStrictEqual(of({ HTTP_PROXY: value }), { address, variable: "HTTP_PROXY" })
    assert.isUndefined(of({ https_proxy: value, HTTPS_PROXY: value }))
    assert.deepStrictEqual(of({ HTTPS_PROXY: value }, true), { address, variable: "HTTPS_PROXY" })
    assert.isUndefined(of({ http_proxy: value }, true))
    assert.strictEqual(of({ http_proxy: value, grpc_proxy: "http://other:1" })?.variable, "grpc_proxy")
    assert.strictEqual(of({ ALL_PROXY: value })?.variable, "ALL_PROXY")
    assert.isUndefined(of({ http_proxy: "", HTTP_PROXY: " " }))
  })

  it("may lack its scheme and its port, and may have a password", () => {
    assert.deepStrictEqual(of({ http_proxy: "proxy.lan:3128" })?.address, address)
    assert.strictEqual(of({ http_proxy: "http://proxy.lan" })?.address.port, 80)
    assert.strictEqual(of({ http_proxy: "http://me:p%40ss@proxy.lan:3128" })?.credentials, "me:p@ss")
    assert.isUndefined(of({ http_proxy: "socks5://proxy.lan:1080" }))
  })

  it("is not used for this machine", () => {
    for (const host of ["localhost", "127.0.0.1", "127.8.8.8", "::1"]) {
      assert.isUndefined(of({ http_proxy: "http://proxy.lan:3128" }, false, { host, port: 50_051 }))
    }
  })

  it.each(
    [
      ["*", "orchestrator.lan", true],
      ["lan", "orchestrator.lan", true],
      [".lan", "orchestrator.lan", true],
      ["*.lan", "orchestrator.lan", true],
      ["orchestrator.lan", "orchestrator.lan", true],
      ["ORCHESTRATOR.LAN.", "orchestrator.lan", true],
      ["orchestrator.lan:50051", "orchestrator.lan", true],
      ["orchestrator.lan:443", "orchestrator.lan", false],
      ["an", "orchestrator.lan", false],
      ["tor.lan", "orchestrator.lan", false],
      [" a.b , orchestrator.lan ", "orchestrator.lan", true],
      ["a.b orchestrator.lan", "orchestrator.lan", true],
      ["", "orchestrator.lan", false],
      [",, ,", "orchestrator.lan", false],
      ["10.0.0.7", "10.0.0.7", true],
      ["0.0.7", "10.0.0.7", false],
      ["10.0.0.0/8", "10.0.0.7", true],
      ["10.1.0.0/16", "10.0.0.7", false],
      ["10.0.0.0/99", "10.0.0.7", false],
      ["fd00::/8", "fd00::7", true],
      ["[fd00::7]:50051", "fd00::7", true],
      ["fd00::7", "fd00::7", true]
    ] as const
  )("NO_PROXY=%j and %s: excepted is %s", (value, host, excepted) => {
    for (const variable of ["no_proxy", "NO_PROXY"]) {
      const found = of({ http_proxy: "http://proxy.lan:3128", [variable]: value }, false, { host, port: 50_051 })
      assert.strictEqual(found === undefined, excepted)
    }
  })

  it("is found among any text without a throw or a long wait", () => {
    const text = FastCheck.string({ unit: "binary", maxLength: 300 })
    FastCheck.assert(FastCheck.property(text, text, (http_proxy, no_proxy) => {
      of({ http_proxy, no_proxy })
    }))
    for (const unit of [",", "a:1,", "*.", "[", "1/8,", ":"]) {
      const value = Buffer.from(unit.repeat(1_048_576 / unit.length)).toString("latin1")
      assert.isBelow(CpuTime.millisOf(() => Proxy.isExcepted(value, target)), 100)
    }
  })
})

describe("a connection through a proxy", () => {
  const proxy: Proxy.Proxy = { address, variable: "http_proxy", credentials: "me:secret" }

  /** Connects to a proxy that answers like this, and says what came of it. */
  const through = (answer: string | undefined, onAsked: (asked: string) => void = () => {}) =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.async<net.Server>((resume) => {
          const server = net.createServer((socket) => {
            socket.on("error", () => {})
            socket.once("data", (asked) => {
              onAsked(asked.toString())
              if (answer === undefined) socket.destroy()
              else socket.write(answer)
            })
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const socket = yield* Effect.acquireRelease(
        Effect.async<net.Socket>((resume) => {
          const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1", () =>
            resume(Effect.succeed(socket)))
        }),
        (socket) =>
          Effect.sync(() =>
            socket.destroy()
          )
      )
      const outcome = yield* Effect.either(Effect.tryPromise({
        try: () => ProxyTunnel.open(socket, proxy, "orchestrator.lan:50051"),
        catch: (error) => (error as Error).message
      }))
      return { socket, outcome }
    })

  it.scopedLive("is asked for by CONNECT, and keeps what the target said first", () =>
    Effect.gen(function*() {
      let asked = ""
      const { outcome, socket } = yield* through("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello", (text) => {
        asked = text
      })
      assert.strictEqual(outcome._tag, "Right")
      assert.strictEqual(socket.read()?.toString(), "hello")
      assert.strictEqual(
        asked,
        "CONNECT orchestrator.lan:50051 HTTP/1.1\r\nHost: orchestrator.lan:50051\r\n"
          + `Proxy-Authorization: Basic ${Buffer.from("me:secret").toString("base64")}\r\n\r\n`
      )
    }))

  it.scopedLive.each(
    [
      ["HTTP/1.1 403 Forbidden\r\n\r\n", "it answers 403 Forbidden"],
      ["HTTP/1.1 407 Proxy\u001b[31m\r\n\r\n", "it answers 407 Proxy"],
      ["220 mail.lan ESMTP\r\n\r\n", "it does not answer as a proxy"],
      ["x".repeat(20_000), "it does not answer as a proxy"],
      [undefined, "it closed the connection"]
    ] as const
  )("%j is told with the proxy, its variable and the way around it", ([answer, why]) =>
    Effect.gen(function*() {
      const { outcome } = yield* through(answer)
      assert.strictEqual(
        outcome._tag === "Left" ? outcome.left : "",
        `proxy: the proxy proxy.lan:3128 (http_proxy) does not connect to orchestrator.lan:50051: ${why}; `
          + "to go there directly, add orchestrator.lan to no_proxy"
      )
    }))
})
