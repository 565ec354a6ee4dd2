import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as path from "node:path"
import { Agent } from "../../src/agent/Agent.js"
import { AgentStatus } from "../../src/agent/AgentStatus.js"
import * as LocalCapabilities from "../../src/capabilities/LocalCapabilities.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as GrpcOrchestrator from "../../src/orchestrator/grpc/GrpcOrchestrator.js"
import type { Capabilities__Output } from "../../src/proto/generated/orchion/v1/Capabilities.js"
import * as LogLines from "../support/LogLines.js"
import * as NoDocker from "../support/NoDocker.js"
import * as Peers from "../support/Peers.js"
import * as Temporary from "../support/Temporary.js"

/** An nvidia-smi whose driver holds it: deaf to all signals but the last. It notes that it was started. */
const wedged = (folder: string) =>
  fs.writeFileSync(
    path.join(folder, "nvidia-smi"),
    `#!/bin/sh\ntrap '' TERM INT HUP\necho $$ >> ${folder}/started\nsleep 300 & wait\n`,
    { mode: 0o755 }
  )

describe.skipIf(process.platform === "win32")("an agent whose nvidia-smi hangs", () => {
  it.scopedLive("misses no heartbeat, and reports the problem to the orchestrator", () =>
    Effect.gen(function*() {
      const interval = 200
      const tools = yield* Temporary.directory
      wedged(tools)
      const beats: Array<number> = []
      const updates: Array<Capabilities__Output> = []
      const found = Effect.async<void>((resume) => {
        const timer = setInterval(() => {
          const told = updates.flatMap(({ findings }) => findings.map(({ code }) => code))
          if (told.includes("tool.timed-out") && beats.length >= 20) resume(Effect.void)
        }, 10)
        return Effect.sync(() => clearInterval(timer))
      })
      const port = yield* Peers.orchestrator({
        RegisterNode: () => Effect.succeed({}),
        UpdateNode: ({ capabilities }) =>
          Effect.sync(() => {
            if (capabilities !== null) updates.push(capabilities)
            return {}
          }),
        Heartbeat: () =>
          Effect.sync(() => {
            beats.push(performance.now())
            return {}
          })
      })
      const logs = LogLines.make()
      const context = yield* Layer.build(Agent.layer.pipe(
        Layer.provide([
          NoDocker.layer,
          GrpcOrchestrator.layer({ address: { host: "127.0.0.1", port }, deadline: "5 seconds" }),
          LocalCapabilities.layer({ path: `${tools}:/usr/bin:/bin`, probeDeadline: "3 seconds" }),
          AgentConfig.layer({
            orchestrator: `127.0.0.1:${port}`,
            "node-id": "tester",
            "agent-port": "0",
            "heartbeat-interval": `${interval}ms`,
            "capability-interval": "1s",
            "state-dir": yield* Temporary.directory
          })
        ]),
        Layer.provide(logs.layer)
      ))
      yield* found.pipe(
        Effect.timeout("25 seconds"),
        Effect.orDieWith(() => new Error(`The finding never came: ${JSON.stringify(updates.at(-1)?.findings)}`))
      )
      assert.isTrue(fs.existsSync(path.join(tools, "started")))
      // Anything that waited for the tool would have been held up for 3 s.
      const gaps = beats.slice(1).map((at, index) => at - (beats[index] ?? 0))
      assert.isBelow(Math.max(...gaps), 2_000)
      assert.isBelow(gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? Number.NaN, 2 * interval)
      assert.strictEqual((yield* Context.get(context, AgentStatus).get).connection._tag, "Registered")
      assert.lengthOf(logs.matching(/Lost|tries/), 0)
    }), 40_000)
})
