import { assert, describe, it } from "vitest"
import { CpuInfo, Finding, GpuProcess, MigInstance, type NodeCapabilities } from "../../src/node/NodeCapabilities.js"
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
    assert.deepStrictEqual(render(Machines.machine({ gpus }), 130).slice(-5), [
      "GPU         0  NVIDIA H200                                        ok   [..........] 2.0 of 140 GiB   10 % busy  "
      + "33 °C  75 of 700 W",
      "            1  NVIDIA RTX PRO 6000 Blackwell Workstation Edition  ill  [#####.....] 70.0 of 140 GiB  10 % busy  "
      + "33 °C  75 W",
      "            gpu 0: cut up into 3g.40gb",
      "            gpu 1: fell off the bus",
      "            gpu 1: python3 (pid 7) uses 12.0 GiB"
    ])
  })

  it("shortens the names of GPUs where the terminal is narrow, and then leaves out the last figures", () => {
    assert.deepStrictEqual(render(Machines.machine({ gpus }), 100).slice(-5, -3), [
      "GPU         0  NVIDIA H200          ok   [..........] 2.0 of 140 GiB   10 % busy  33 °C  75 of 700 W",
      "            1  NVIDIA RTX PRO 600…  ill  [#####.....] 70.0 of 140 GiB  10 % busy  33 °C  75 W"
    ])
    assert.deepStrictEqual(render(Machines.machine({ gpus }), 80).slice(-5, -3), [
      "GPU         0  NVIDIA H2…  ok   [..........] 2.0 of 140 GiB   10 % busy  33 °C",
      "            1  NVIDIA RT…  ill  [#####.....] 70.0 of 140 GiB  10 % busy  33 °C"
    ])
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
    assert.notMatch(text, /Runs in/)
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
