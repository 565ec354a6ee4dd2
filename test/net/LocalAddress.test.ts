import { syncBuiltinESMExports } from "node:module"
import os from "node:os"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as LocalAddress from "../../src/net/LocalAddress.js"

describe("the local address towards a peer", () => {
  it.live("is the loopback's for a peer on this machine", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* LocalAddress.towards({ host: "127.0.0.1", port: 50_051 }), "127.0.0.1")
    }))

  it.live("is an error, not a defect, for a name that does not resolve", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(LocalAddress.towards({ host: "no-such-host.invalid", port: 1 }))
      assert.instanceOf(error, Error)
    }))

  it.live("is an error, not a defect, for a port that no system takes", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* Effect.flip(LocalAddress.towards({ host: "127.0.0.1", port: 70_000 })), Error)
    }))
})

describe("the interfaces of this machine", () => {
  it("are none when the system refuses to list them", () => {
    const real = os.networkInterfaces
    os.networkInterfaces = () => {
      throw new Error("uv_interface_addresses returned EMFILE")
    }
    syncBuiltinESMExports()
    try {
      assert.deepStrictEqual(LocalAddress.interfaces(), {})
    } finally {
      os.networkInterfaces = real
      syncBuiltinESMExports()
    }
  })
})
