import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as AgentConfig from "../../src/agent/AgentConfig.js"

const read = <E>(layer: Layer.Layer<AgentConfig.AgentConfig, E>) => Effect.provide(AgentConfig.AgentConfig, layer)

describe("AgentConfig.layer", () => {
  it.effect("reads the texts of a program", () =>
    Effect.map(read(AgentConfig.layer({ "heartbeat-interval": "1s" })), (config) => {
      assert.deepStrictEqual(config.heartbeatInterval, Duration.seconds(1))
      assert.isTrue(config.provenance("heartbeatInterval").isGiven)
      assert.isFalse(config.provenance("vllmModel").isGiven)
    }))

  it.effect("refuses a misspelled name, in the types and when it runs", () =>
    // @ts-expect-error there is no such setting
    Effect.map(Effect.flip(read(AgentConfig.layer({ "hearbeat-interval": "1s" }))), ({ message }) =>
      assert.strictEqual(message, "there is no setting \"hearbeat-interval\" (did you mean \"heartbeat-interval\"?)")))
})

describe("AgentConfig.layerConfig", () => {
  const given = (provider: ConfigProvider.ConfigProvider) =>
    read(AgentConfig.layerConfig).pipe(Effect.withConfigProvider(provider))

  it.effect("reads Effect's ConfigProvider, by the names of the environment", () =>
    Effect.gen(function*() {
      const flat = yield* given(ConfigProvider.fromMap(new Map([["ORCHION_NODE_ID", "a"]]), { pathDelim: "_" }))
      assert.deepStrictEqual(flat.nodeId, Option.some("a"))
      const nested = yield* given(ConfigProvider.fromJson({ ORCHION: { HEARTBEAT_INTERVAL: "2s" } }))
      assert.deepStrictEqual(nested.heartbeatInterval, Duration.seconds(2))
    }))

  it.effect("names the variable of a bad value", () =>
    Effect.map(
      Effect.flip(given(ConfigProvider.fromJson({ ORCHION: { AGENT_PORT: "many" } }))),
      (error) => assert.include(String(error), "--agent-port cannot be \"many\" (from ORCHION_AGENT_PORT)")
    ))
})
