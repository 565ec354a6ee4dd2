import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Cgroup from "../../src/capabilities/Cgroup.js"
import { kernelFiles } from "../../src/capabilities/Files.js"
import { machine, tree } from "./Support.js"

const GiB = 1024 ** 3
const big = { memoryBytes: 64 * GiB, cores: 16 }

const limits = (name: string, total = big) =>
  Effect.map(machine(tree(name)), (root) => Effect.runSync(Cgroup.makeReader).read(kernelFiles(root), total))

describe("Cgroup", () => {
  it.scoped("takes the lowest limit of a systemd service and its slices, and what the limiting one uses", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits("cgroup-v2-slice"), {
        memoryBytes: 8 * GiB,
        // What is in use, less the file cache that can go.
        memoryUsedBytes: 2 * GiB,
        cores: 3.5
      })
    }))

  it.scoped("sees the limits of its own container, whose group is the root of what it can see", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits("cgroup-v2-container"), {
        memoryBytes: 4 * GiB,
        memoryUsedBytes: 0.75 * GiB,
        cores: 1.5
      })
    }))

  it.scoped("reads version 1 in a container that sees its own group as the root", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits("cgroup-v1"), {
        memoryBytes: 2 * GiB,
        memoryUsedBytes: 600 * 1024 ** 2,
        cores: 2
      })
    }))

  it.scoped("finds no limit where version 1 says that there is none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits("cgroup-v1-unlimited"), {})
    }))

  it.scoped("joins both versions, and takes the minimum over nested groups", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits("cgroup-hybrid"), {
        memoryBytes: GiB,
        memoryUsedBytes: 256 * 1024 ** 2,
        cores: 4
      })
    }))

  it.scoped("does not call a limit what the machine does not have anyway", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits("cgroup-v2-slice", { memoryBytes: 4 * GiB, cores: 2 }), {})
    }))

  it.scoped("counts the processors that it is pinned to", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "proc/self/status": "Cpus_allowed_list:\t0,2-3\n", "proc/self/cgroup": "" })
      assert.deepStrictEqual(Effect.runSync(Cgroup.makeReader).read(kernelFiles(root), big), { cores: 3 })
    }))

  it.scoped("notices a limit that is changed, and a move into another group", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("cgroup-v2-slice"))
      const reader = Effect.runSync(Cgroup.makeReader)
      assert.strictEqual(reader.read(kernelFiles(root), big).memoryBytes, 8 * GiB)
      fs.writeFileSync(path.join(root, "sys/fs/cgroup/system.slice/memory.max"), `${2 * GiB}\n`)
      assert.strictEqual(reader.read(kernelFiles(root), big).memoryBytes, 2 * GiB)
      fs.writeFileSync(path.join(root, "proc/self/cgroup"), "0::/elsewhere\n")
      assert.deepStrictEqual(reader.read(kernelFiles(root), big), {})
    }))

  it("stays at what is mounted for a group outside of it", () => {
    const mount = { root: "/docker/1", point: "/sys/fs/cgroup", controllers: [], version: 2 as const }
    assert.deepStrictEqual(Cgroup.lineage(mount, "/docker/1/a"), ["/sys/fs/cgroup/a", "/sys/fs/cgroup"])
    assert.deepStrictEqual(Cgroup.lineage(mount, "/docker/12"), ["/sys/fs/cgroup"])
    assert.deepStrictEqual(Cgroup.lineage({ ...mount, root: "/" }, "/../outside"), ["/sys/fs/cgroup"])
  })

  it("reads mounts whose paths have spaces", () => {
    const [mount] = Cgroup.parseMounts("1 2 0:3 / /mnt/my\\040groups rw - cgroup cgroup rw,memory\n")
    assert.deepStrictEqual(mount, { root: "/", point: "/mnt/my groups", controllers: ["rw", "memory"], version: 1 })
  })

  it("makes no impossible limit of any text", () => {
    const text = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.tuple(FastCheck.bigInt(), FastCheck.bigInt()).map(([a, b]) => `${a} ${b}`),
      FastCheck.constantFrom(
        "max",
        "max 100000",
        "-1",
        "0",
        "0 0",
        "100000 0",
        "18446744073709551615",
        "9223372036854771712"
      )
    )
    FastCheck.assert(FastCheck.property(text, (value) => {
      const bytes = Cgroup.parseMemoryLimit(value)
      const cores = Cgroup.parseCpuMax(value)
      assert.isTrue(bytes === undefined || (Number.isFinite(bytes) && bytes > 0 && bytes < 2 ** 60))
      assert.isTrue(cores === undefined || (Number.isFinite(cores) && cores > 0))
      Cgroup.parseMembership(value)
      Cgroup.parseMounts(value)
    }))
  })
})
