import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { kernelFiles } from "../../src/capabilities/Files.js"
import { parseSwVers, parseSysctl } from "../../src/capabilities/MacOs.js"
import { containerOfCgroup, hypervisorOf, parseOsRelease, readLinuxOs } from "../../src/capabilities/OperatingSystem.js"
import { fixture, machine, tree } from "./Support.js"

const virtualization = (
  files: Readonly<Record<string, string>>,
  { env = {}, hypervisor }: { readonly env?: NodeJS.ProcessEnv; readonly hypervisor?: boolean } = {}
) =>
  Effect.scoped(
    Effect.map(machine(files), (root) =>
      readLinuxOs(kernelFiles(root), env, hypervisor === undefined ? {} : { hypervisor }).virtualization)
  )

describe("OperatingSystem", () => {
  it("names the distribution whatever the quotes", () => {
    assert.strictEqual(
      parseOsRelease("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
      "Debian GNU/Linux 12 (bookworm)"
    )
    assert.strictEqual(parseOsRelease("PRETTY_NAME='Void Linux'"), "Void Linux")
    assert.strictEqual(parseOsRelease("NAME=Alpine\nVERSION=\"3 \\\"x\\\"\""), "Alpine 3 \"x\"")
    assert.isUndefined(parseOsRelease("# nothing\n"))
  })

  it.effect("recognizes containers by their marks, Kubernetes before the runtime below it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* virtualization({ ".dockerenv": "" }), "docker")
      assert.strictEqual(yield* virtualization({ "run/.containerenv": "" }), "podman")
      assert.strictEqual(
        yield* virtualization({ ".dockerenv": "" }, { env: { KUBERNETES_SERVICE_HOST: "10.0.0.1" } }),
        "kubernetes"
      )
      assert.strictEqual(yield* virtualization({ "proc/1/cgroup": "0::/docker/0123456789ab\n" }), "docker")
      assert.strictEqual(yield* virtualization({ "run/systemd/container": "systemd-nspawn\n" }), "systemd-nspawn")
      assert.strictEqual(yield* virtualization({}, { env: { container: "lxc" } }), "lxc")
    }))

  it("recognizes containers by the group of their first process", () => {
    assert.strictEqual(containerOfCgroup("11:memory:/kubepods/burstable/pod1/2\n"), "kubernetes")
    assert.strictEqual(containerOfCgroup("0::/machine.slice/libpod-abc.scope\n"), "podman")
    assert.strictEqual(containerOfCgroup("1:name=systemd:/system.slice/docker-abc.scope\n"), "docker")
    assert.strictEqual(containerOfCgroup("1:cpu:/lxc/web/init.scope\n"), "lxc")
    assert.isUndefined(containerOfCgroup("0::/init.scope\n"))
    assert.isUndefined(containerOfCgroup("0::/system.slice/docker.service\n"))
  })

  it.effect("knows WSL, the hypervisors, and machines without one", () =>
    Effect.gen(function*() {
      const kernel = "proc/sys/kernel/osrelease"
      assert.strictEqual(
        yield* virtualization({ [kernel]: "5.15.153.1-microsoft-standard-WSL2\n" }, { hypervisor: true }),
        "wsl"
      )
      const dmi = (vendor: string, product: string) => ({
        "sys/class/dmi/id/sys_vendor": `${vendor}\n`,
        "sys/class/dmi/id/product_name": `${product}\n`
      })
      assert.strictEqual(yield* virtualization(dmi("QEMU", "Standard PC"), { hypervisor: true }), "kvm")
      assert.strictEqual(
        yield* virtualization(dmi("VMware, Inc.", "VMware Virtual Platform"), { hypervisor: true }),
        "vmware"
      )
      assert.strictEqual(
        yield* virtualization(dmi("Microsoft Corporation", "Virtual Machine"), { hypervisor: true }),
        "hyperv"
      )
      assert.strictEqual(yield* virtualization(dmi("Dell Inc.", "PowerEdge R760"), { hypervisor: false }), "none")
      assert.strictEqual(yield* virtualization(dmi("Amazon EC2", "p4d.24xlarge"), { hypervisor: true }), "kvm")
      assert.strictEqual(yield* virtualization(dmi("Amazon EC2", "m5.metal")), "none")
      assert.strictEqual(yield* virtualization({}, { hypervisor: true }), "vm")
      assert.strictEqual(yield* virtualization({ "sys/hypervisor/type": "xen\n" }), "xen")
      assert.strictEqual(
        yield* virtualization({ "sys/hypervisor/type": "xen\n", "proc/xen/capabilities": "control_d\n" }),
        "none"
      )
    }))

  it("does not take a vendor's real machine for a virtual one", () => {
    assert.isUndefined(hypervisorOf("Microsoft Corporation | Surface Pro"))
    assert.isUndefined(hypervisorOf("Google | Google"))
  })

  it.scoped("knows a Raspberry Pi by its device tree, or by its processors where that is hidden", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("raspberry-pi"))
      const facts = readLinuxOs(kernelFiles(root), {}, {})
      assert.deepStrictEqual(facts, {
        distribution: "Debian GNU/Linux 12 (bookworm)",
        virtualization: "none",
        board: "Raspberry Pi 5 Model B Rev 1.0",
        bootId: "2f0c3f54-9a1f-4f7b-8f0e-6a2b5d3c1e90"
      })
      const bare = yield* machine({})
      assert.strictEqual(readLinuxOs(kernelFiles(bare), {}, { board: "Raspberry Pi 4" }).board, "Raspberry Pi 4")
    }))

  it("reads what macOS says of itself", () => {
    const facts = parseSysctl(fixture("apple/sysctl.txt"))
    assert.deepStrictEqual(facts.cpu, {
      model: "Apple M3 Pro",
      vendor: "Apple",
      sockets: 1,
      physicalCores: 12,
      logicalCores: 12,
      features: ["neon", "dotprod", "i8mm", "bf16"]
    })
    assert.deepStrictEqual(facts.os, {
      virtualization: "none",
      bootId: "6E1B2C3D-4F50-4A61-8B72-9C8D7E6F5A4B",
      board: "Mac15,7"
    })
    assert.strictEqual(
      parseSwVers("ProductName:\t\tmacOS\nProductVersion:\t\t15.1\nBuildVersion:\t24B83\n"),
      "macOS 15.1"
    )
    assert.deepStrictEqual(parseSysctl("").cpu, { features: [] })
  })
})
