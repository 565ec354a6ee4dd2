import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Disks from "../../src/capabilities/Disks.js"
import { deviceFiles } from "../../src/capabilities/Files.js"
import * as Network from "../../src/capabilities/Network.js"
import { machine, temporaryDirectory } from "./Support.js"

describe("Disks", () => {
  it.scopedLive("reports the space of the disk that the state directory is or will be on", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const state = path.join(directory, "not", "yet", "there")
      const { facts } = yield* Disks.detect(deviceFiles("/"), { state, docker: path.join(directory, "no-docker") })
      assert.lengthOf(facts, 1)
      const { bavail, blocks, bsize } = fs.statfsSync(directory)
      assert.deepInclude({ ...facts[0] }, { purpose: "state", path: state, totalBytes: blocks * bsize })
      assert.approximately(facts[0]?.freeBytes ?? 0, bavail * bsize, 1024 ** 3)
    }))

  it.scopedLive("reports a disk that is nearly full", () =>
    Effect.gen(function*() {
      const space = (freeBytes: number) => Effect.succeed({ totalBytes: 100 * 1024 ** 3, freeBytes })
      const low = { ...deviceFiles("/"), space: () => space(3 * 1024 ** 3) }
      const { facts, findings } = yield* Disks.detect(low, { state: "/state", docker: "/docker" })
      assert.lengthOf(facts, 2)
      assert.deepStrictEqual(findings.map(({ code, message }) => [code, message]), [
        ["disk.nearly-full", "Only 3.0 GiB of 100.0 GiB are free at /docker."]
      ])
      const full = { ...low, space: () => space(0) }
      assert.lengthOf((yield* Disks.detect(full, { state: "/state", docker: undefined })).findings, 1)
    }))
})

describe("Network", () => {
  it.scopedLive("finds the address that reaches the orchestrator, its interface and its speed", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "sys/class/net/lo/speed": "25000\n" })
      const { facts, findings } = yield* Network.detect(deviceFiles(root), { host: "127.0.0.1", port: 50_051 })
      assert.deepStrictEqual([...findings], [])
      assert.strictEqual(facts?.address, "127.0.0.1")
      if (process.platform === "linux") {
        assert.strictEqual(facts?.interface, "lo")
        assert.strictEqual(facts?.linkMbps, 25_000)
      }
    }))

  it.scopedLive("has a finding when no address of ours does", () =>
    Effect.gen(function*() {
      // What is for everybody is refused to a socket that has not asked for it.
      const { facts, findings } = yield* Network.detect(deviceFiles("/"), { host: "255.255.255.255", port: 1 })
      assert.isUndefined(facts)
      assert.deepStrictEqual(findings.map(({ code }) => code), ["network.unreachable"])
    }))

  it.effect("has nothing to find without an orchestrator", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Network.detect(deviceFiles("/"), undefined), {
        facts: undefined,
        findings: [],
        goodFor: "1 day"
      })
    }))

  it("does not take -1, which virtual and wireless links say, for a speed", () => {
    assert.deepStrictEqual(["-1", "10000", "0", "", undefined].map(Network.parseLinkSpeed), [
      undefined,
      10_000,
      undefined,
      undefined,
      undefined
    ])
  })
})
