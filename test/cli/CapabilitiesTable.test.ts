import { assert, describe, it } from "vitest"
import {
  CpuInfo,
  DiskInfo,
  Finding,
  GpuProcess,
  MigInstance,
  type NodeCapabilities
} from "../../src/node/NodeCapabilities.js"
import * as CapabilitiesTable from "../../src/cli/CapabilitiesTable.js"
import * as Machines from "../support/Machines.js"

const { gib } = Machines

const render = (node: NodeCapabilities, width = 80) =>
  CapabilitiesTable.render(node, { color: false, width }).split("\n")

const gpus = [
  Machines.gpu({ powerLimitWatts: 700, migInstances: [new MigInstance({ uuid: "MIG-1", profile: "3g.40gb" })] }),
  Machines.gpu({
    index: 1,
    model: "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
    memoryUsedBytes: 70 * gib,
    healthy: false,
    healthProblem: "fell off the bus",
    foreignProcesses: [new GpuProcess({ pid: 7, name: "python3", memoryUsedBytes: 12 * gib })]
  })
]

describe("the table of a machine", () => {
  it("has one row per GPU, in columns, with a bar of its memory", () => {
    assert.deepStrictEqual(render(Machines.machine({ gpus }), 140).slice(-5), [
      "GPU         0  NVIDIA H200                                        ok         [..........] 2.0 of 140 GiB   "
      + "10 % busy  33 °C  75 of 700 W",
      "            1  NVIDIA RTX PRO 6000 Blackwell Workstation Edition  unhealthy  [#####.....] 70.0 of 140 GiB  "
      + "10 % busy  33 °C  75 W",
      "            gpu 0: MIG instances 3g.40gb",
      "            gpu 1: fell off the bus",
      "            gpu 1: python3 (pid 7) uses 12.0 GiB"
    ])
  })

  it("keeps the telling part of GPUs' names where the terminal is narrow, and leaves out readings from the right", () => {
    const rows = (width: number) => render(Machines.machine({ gpus }), width).slice(-5, -3)
    assert.deepStrictEqual(rows(100), [
      "GPU         0  H200          ok         [..........] 2.0 of 140 GiB   10 % busy  33 °C  75 of 700 W",
      "            1  RTX PRO 6000  unhealthy  [#####.....] 70.0 of 140 GiB  10 % busy  33 °C  75 W"
    ])
    assert.deepStrictEqual(rows(80), [
      "GPU         0  H200          ok         2.0 of 140 GiB   10 % busy  33 °C  75 W",
      "            1  RTX PRO 6000  unhealthy  70.0 of 140 GiB  10 % busy  33 °C  75 W"
    ])
    assert.deepStrictEqual(rows(60), [
      "GPU         0  H200          ok         2.0 of 140 GiB",
      "            1  RTX PRO 6000  unhealthy  70.0 of 140 GiB"
    ])
  })

  it("never shows two different GPUs as the same for want of room", () => {
    const models = [
      "NVIDIA GeForce RTX 4090",
      "NVIDIA GeForce RTX 4090 Laptop GPU",
      "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
      "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
      "NVIDIA H100 80GB HBM3",
      "NVIDIA H100 PCIe",
      "AMD Radeon Graphics / Radeon 8050S Graphics / Radeon 8060S Graphics"
    ]
    const many = models.map((model, index) => Machines.gpu({ model, index: index + 10, healthy: true }))
    for (const width of [60, 80, 100, 120, 140]) {
      const lines = render(Machines.machine({ gpus: many }), width)
      for (const line of lines) assert.isAtMost(line.length, width)
      const names = lines.slice(-models.length).map((line) => line.slice(16, line.indexOf("  ", 16)))
      assert.lengthOf([...new Set(names)], models.length, names.join("\n"))
    }
  })

  it("distinguishes GPUs that are not known yet from none", () => {
    assert.include(render(Machines.machine()), "GPU         none found")
    const unknown = Machines.machine({ findings: [Machines.finding("gpu.unknown")] })
    assert.include(render(unknown), "GPU         not known yet")
  })

  it("breaks long lines between words, and cuts long words in the middle", () => {
    const path = "/var/lib/a-very-long-place/for/docker/images/which/goes/on/and/on/docker-data"
    const lines = render(
      Machines.machine({
        disks: [new DiskInfo({ purpose: "docker", path, totalBytes: 1000 * gib, freeBytes: 3 * gib })]
      }),
      60
    )
    assert.include(lines, "Disk        [##########] 3.0 of 1000 GiB free, docker:")
    assert.include(lines, "            /var/lib/a-very-long-pla…s/on/and/on/docker-data")
  })

  it("says what is wrong last, with what to do about it, within the width", () => {
    const lines = render(Machines.machine({
      findings: [
        Machines.finding("gpu.hot"),
        new Finding({
          code: "nvidia.driver-mismatch",
          severity: "error",
          subject: "NVIDIA GPUs",
          message: "The kernel runs another version of NVIDIA's driver than the one that is installed.",
          remedy:
            "Reboot, or stop everything that uses the GPUs and reload the driver (nvidia_uvm, nvidia_drm, nvidia)."
        })
      ]
    }))
    for (const line of lines) assert.isAtMost(line.length, 80)
    assert.deepStrictEqual(lines.slice(-7), [
      "",
      "warning gpu 0: It runs hot.",
      "  → Clean its fans.",
      "error NVIDIA GPUs: The kernel runs another version of NVIDIA's driver than the",
      "  one that is installed.",
      "  → Reboot, or stop everything that uses the GPUs and reload the driver",
      "  (nvidia_uvm, nvidia_drm, nvidia)."
    ])
  })

  it("says nothing twice, and leaves out what is not known", () => {
    const text = render(Machines.machine()).join("\n")
    assert.notMatch(text, /Platform/)
    assert.strictEqual(text.split("amd64").length, 2)
    const known = render(Machines.machine({
      cpu: new CpuInfo({ architecture: "arm64", model: "Neoverse-N1", logicalCores: 8, features: ["neon"] })
    }))
    assert.include(known, "CPU         Neoverse-N1, 8 threads")
    assert.include(known, "            arm64, neon")
  })

  it("does not let what tools print drive the terminal", () => {
    const evil = "\u001b[31mred\u0007"
    const text = render(Machines.machine({
      gpus: [Machines.gpu({ model: evil, healthy: false, healthProblem: evil })],
      findings: [new Finding({ code: "x", severity: "info", subject: evil, message: evil, remedy: evil })]
    })).join("\n")
    assert.notMatch(text, /[\u0000-\u0009\u000b-\u001f]/)
  })
})
