/** docs/adding-an-engine.md, walked: its code is what stands in the files, and does what it says. */
import * as fs from "node:fs"
import * as http from "node:http"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { ContainerExit, ContainerInfo } from "../../src/docker/api/Container.js"
import { Docker } from "../../src/docker/Docker.js"
import * as Ports from "../support/Ports.js"
import * as Supervised from "./Supervised.js"
import * as ToyDriver from "./toy/ToyDriver.js"

const root = path.resolve(import.meta.dirname, "../..")
const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")

describe("docs/adding-an-engine.md", () => {
  const doc = read("docs/adding-an-engine.md")
  const blocks = [...doc.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code.trim())

  it.each([["examples/own-engine.ts", 0], ["test/engine/toy/ToyDriver.ts", 1]] as const)(
    "has the code of %s",
    (file, index) => {
      assert.include(read(file), blocks[index] ?? "no code")
    }
  )

  it("names files that are there", () => {
    const files = [...doc.matchAll(/`((?:src|test|examples)\/[\w./-]+\.ts)`/g)].map(([, file = ""]) => file)
    assert.isAbove(files.length, 4)
    for (const file of files) assert.isTrue(fs.existsSync(path.join(root, file)), file)
  })
})

/** A Docker whose one container is a server of this process. */
const dockerOf = (lines: ReadonlyArray<string>, exit: Deferred.Deferred<ContainerExit>, created: Array<unknown>) =>
  Layer.mock(Docker, {
    ping: Effect.void,
    list: () => Effect.succeed([]),
    pull: () => Stream.empty,
    runScoped: (spec) =>
      Effect.sync(() => {
        created.push(spec.image)
        return { id: "c1", name: spec.name, state: "running" } as ContainerInfo
      }),
    logs: () =>
      Stream.concat(
        Stream.fromIterable(lines.map((text) => ({ stream: "stdout" as const, text, truncated: false }))),
        Stream.fromEffect(Effect.zipRight(Deferred.await(exit), Effect.never)).pipe(
          Stream.interruptWhen(Deferred.await(exit))
        )
      ),
    wait: () => Deferred.await(exit)
  })

describe("an engine that a program adds", () => {
  it.scopedLive("is run, read and served like the package's own", () =>
    Effect.gen(function*() {
      const port = yield* Ports.free
      const exit = yield* Deferred.make<ContainerExit>()
      const created: Array<unknown> = []
      let isUp = false
      yield* Effect.acquireRelease(
        Effect.async<http.Server>((resume) => {
          const server = http.createServer((request, response) => {
            response.statusCode = isUp ? 200 : 503
            response.end(request.url === "/v1/models" ? "{\"data\":[{\"id\":\"tiny\"}]}" : "ok")
          }).listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) =>
          Effect.sync(() => {
            server.close()
            server.closeAllConnections()
          })
      )
      const lines = ["GET /health 503", "loading model tiny", "fatal: model file is damaged"]
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: {},
        drivers: [ToyDriver.driver({ model: "tiny", port })]
      }).pipe(Effect.provide(dockerOf(lines, exit, created)))
      assert.deepInclude(yield* agent.until(({ detail }) => detail === "Loading the model"), {
        name: "toy",
        state: "loading",
        models: ["tiny"],
        image: "example/toy:1"
      })
      isUp = true
      yield* agent.until(({ state }) => state === "ready")
      const [running] = agent.engines.current()
      assert.deepInclude(running, { title: "Toy", models: ["tiny"], baseUrl: `http://127.0.0.1:${port}` })
      assert.deepStrictEqual(created, ["example/toy:1"])
      // What was logged before it was ready is not what it dies of.
      yield* Deferred.succeed(exit, { exitCode: 1, oomKilled: false })
      assert.match((yield* agent.until(({ state }) => state === "restarting")).detail, /^Toy ended with exit code 1/)
    }))

  it.scopedLive("is diagnosed by the lines that it brings", () =>
    Effect.gen(function*() {
      const port = yield* Ports.free
      const exit = yield* Deferred.make<ContainerExit>()
      yield* Deferred.succeed(exit, { exitCode: 1, oomKilled: false })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: {},
        drivers: [ToyDriver.driver({ model: "tiny", port })]
      }).pipe(Effect.provide(dockerOf(["fatal: model file is damaged"], exit, [])))
      const failed = yield* agent.until(({ state }) => state === "failed")
      assert.strictEqual(failed.detail, "Toy's model tiny is damaged. Remove the volume orchion-toy-models.")
    }))
})
