import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Docker } from "../../src/docker/Docker.js"
import * as DockerError from "../../src/docker/api/DockerError.js"
import { defaults } from "../../src/engine/EngineTimes.js"
import * as Supervised from "./Supervised.js"

/** A Docker in which no container starts. */
const failing = (onTry: Effect.Effect<void>) =>
  Layer.mock(Docker, {
    ping: Effect.void,
    list: () => Effect.succeed([]),
    pull: () => Stream.empty,
    runScoped: () =>
      Effect.zipRight(
        onTry,
        Effect.fail(new DockerError.ContainerStartFailed({ container: "orchion-ollama", image: "i", detail: "no" }))
      )
  })

describe("an engine that does not start", () => {
  it.scoped("is tried again after 1 s, 2 s, 4 s and so on, up to every 5 min, for ever", () =>
    Effect.gen(function*() {
      const tries: Array<number> = []
      const onTry = Effect.map(Clock.currentTimeMillis, (now) => {
        tries.push(now / 1000)
      })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-gpus": "none" },
        times: defaults
      }).pipe(Effect.provide(failing(onTry)))
      yield* TestClock.adjust("40 minutes")
      const waits = tries.slice(1).map((at, index) => Math.round(at - (tries[index] ?? 0)))
      assert.deepStrictEqual(waits.slice(0, 12), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
      const [report] = agent.engines.current()
      assert.strictEqual(report?.state, "restarting")
      // Told once, then in a short line each time.
      assert.lengthOf(agent.logs.matching(/did not start: no/), 1)
      assert.lengthOf(agent.logs.matching(/^Ollama failed again for the same reason; retrying in/), tries.length - 1)
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.scoped("waits for a Docker that is away, which counts for nothing", () =>
    Effect.gen(function*() {
      let isAway = true
      const tries: Array<number> = []
      const away = new DockerError.DockerUnreachable({
        endpoint: "unix:///docker.sock",
        operation: "answer",
        reason: "connection refused",
        ambiguous: false,
        remedy: "Start it."
      })
      const docker = Layer.mock(Docker, {
        ping: Effect.suspend(() => isAway ? Effect.fail(away) : Effect.void),
        list: () => Effect.suspend(() => isAway ? Effect.fail(away) : Effect.succeed([])),
        pull: () => Stream.empty,
        runScoped: () =>
          Effect.zipRight(Effect.map(Clock.currentTimeMillis, (now) => void tries.push(now)), Effect.never)
      })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-gpus": "none" },
        times: defaults
      }).pipe(Effect.provide(docker))
      yield* TestClock.adjust("1 hour")
      assert.match(agent.engines.current()[0]?.detail ?? "", /^Waiting for Docker\. /)
      assert.lengthOf(agent.logs.matching(/waits for Docker/), 1)
      isAway = false
      yield* TestClock.adjust("30 seconds")
      assert.lengthOf(tries, 1)
      assert.strictEqual((yield* agent.seen).at(-1)?.restarts, 0)
      assert.deepStrictEqual(agent.findings(), [])
    }))
})
