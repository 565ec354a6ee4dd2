import { assert, describe, it } from "@effect/vitest"
import * as OllamaApi from "../../../src/engine/ollama/OllamaApi.js"
import * as OllamaDiagnosis from "../../../src/engine/ollama/OllamaDiagnosis.js"
import * as OllamaLog from "../../../src/engine/ollama/OllamaLog.js"
import * as OllamaPlan from "../../../src/engine/ollama/OllamaPlan.js"
import { gib } from "../../support/Machines.js"
import {
  amd,
  apple,
  body,
  host,
  intel,
  machine,
  mig,
  nvidia,
  planned,
  readable,
  refusal,
  settings
} from "../Planning.js"

type Values = Parameters<typeof settings>[0]
type Machine = Parameters<typeof OllamaPlan.plan>[1]

const plan = (values: Values = {}, of: Machine = machine()) => planned(OllamaPlan.plan(settings(values), of))

describe("Ollama's container", () => {
  it("gets the settings, each where it belongs", () => {
    const made = plan({
      "ollama-model": "llama3:8b",
      "ollama-port": "9000",
      "ollama-image": "own/ollama:v1",
      "ollama-memory": "512m",
      "ollama-volume": "/data/models",
      "ollama-gpus": "none",
      "engine-bind-address": "0.0.0.0"
    })
    assert.deepInclude(made, { model: "llama3:8b", baseUrl: "http://127.0.0.1:9000", findings: [] })
    assert.isUndefined(made.apiKey)
    assert.deepInclude(made.spec, { image: "own/ollama:v1", memoryBytes: gib / 2 })
    // The image knows its command.
    assert.isUndefined(made.spec.command)
    assert.deepInclude(host(made), {
      PortBindings: { "11434/tcp": [{ HostIp: "0.0.0.0", HostPort: "9000" }] },
      Mounts: [{ Type: "bind", Source: "/data/models", Target: "/root/.ollama", ReadOnly: false }],
      IpcMode: "private"
    })
    assert.deepInclude(host(plan())["Mounts"], {
      Type: "volume",
      Source: "orchion-ollama-models",
      Target: "/root/.ollama",
      ReadOnly: false
    })
  })

  it("has NVIDIA's GPUs by a request to the runtime, and none when it is to have none", () => {
    const all = plan({}, machine([nvidia(0), nvidia(1)]))
    assert.deepInclude(host(all), { DeviceRequests: [{ Driver: "nvidia", Count: -1, Capabilities: [["gpu"]] }] })
    assert.deepStrictEqual(all.spec.env, {})
    assert.deepStrictEqual(all.findings, [])
    assert.deepInclude(host(plan({ "ollama-gpus": "MIG-a,MIG-b" }, machine([mig]))), {
      DeviceRequests: [{ Driver: "nvidia", DeviceIDs: ["MIG-a", "MIG-b"], Capabilities: [["gpu"]] }]
    })
    const none = plan({ "ollama-gpus": "none" }, machine([nvidia(0)]))
    assert.notProperty(host(none), "DeviceRequests")
    // Else a default runtime of NVIDIA's would read the image's own wish for all.
    assert.deepStrictEqual(none.spec.env, { NVIDIA_VISIBLE_DEVICES: "void" })
    assert.deepStrictEqual(none.findings, [])
  })

  it("has AMD's and Intel's GPUs as devices and numeric groups", () => {
    const two = plan({ "ollama-gpus": "0,1" }, machine([amd(0), amd(1)]))
    assert.strictEqual(two.spec.image, "ollama/ollama:rocm")
    assert.deepStrictEqual(two.spec.env, { ROCR_VISIBLE_DEVICES: "0,1" })
    assert.deepInclude(host(two), {
      Devices: [
        { PathOnHost: "/dev/kfd", PathInContainer: "/dev/kfd", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/dri", PathInContainer: "/dev/dri", CgroupPermissions: "rwm" }
      ],
      GroupAdd: ["44", "110"]
    })
    assert.strictEqual(plan({ "ollama-image": "own" }, machine([amd(0)])).spec.image, "own")
    const one = plan({}, machine([intel(0)]))
    assert.deepStrictEqual(one.spec.env, { OLLAMA_VULKAN: "1" })
    assert.deepInclude(host(one), {
      Devices: [{ PathOnHost: "/dev/dri", PathInContainer: "/dev/dri", CgroupPermissions: "rwm" }],
      Privileged: false
    })
  })

  it("runs on the CPU where there is no GPU, and says so", () => {
    for (
      const [gpus, message] of [
        [[], /Ollama runs on the CPU: this machine has no GPU/],
        [[apple], /Ollama runs on the CPU: containers on this machine cannot use its GPU/]
      ] as const
    ) {
      const { findings, gpus: selection } = plan({}, machine(gpus))
      assert.isUndefined(selection)
      assert.deepStrictEqual(findings.map(({ code, severity }) => [code, severity]), [["engine.on-cpu", "info"]])
      assert.match(findings[0]?.message ?? "", message)
    }
    assert.match(
      refusal(OllamaPlan.plan(settings({ "ollama-gpus": "0" }), machine())),
      /^Ollama cannot run here: --ollama-gpus is 0, and this machine has no GPU.*Give none/
    )
  })

  it("is handed the environment that is meant for it", () => {
    const env = {
      OLLAMA_KEEP_ALIVE: "10m",
      OLLAMA_KV_CACHE_TYPE: "q8_0",
      OLLAMA_HOST: "0.0.0.0:1",
      OLLAMA_MODELS: "/home/me/models",
      OLLAMA_AUTH_TOKEN: "ollama-secret",
      https_proxy: "http://me:pass@proxy:3128",
      NO_PROXY: "localhost",
      HF_TOKEN: "not-for-it"
    }
    const made = plan({ "ollama-gpus": "none" }, machine([], { env }))
    assert.deepStrictEqual(made.spec.env, {
      OLLAMA_KEEP_ALIVE: "10m",
      OLLAMA_KV_CACHE_TYPE: "q8_0",
      NO_PROXY: "localhost",
      NVIDIA_VISIBLE_DEVICES: "void"
    })
    assert.deepStrictEqual(Object.keys(made.spec.secrets).sort(), ["OLLAMA_AUTH_TOKEN", "https_proxy"])
    assert.include(body(made)["Env"], "OLLAMA_AUTH_TOKEN=ollama-secret")
    for (const secret of ["ollama-secret", "pass@proxy", "not-for-it"]) assert.notInclude(readable(made), secret)
  })
})

describe("what Ollama says", () => {
  it("is a list of models, or none", () => {
    assert.deepStrictEqual(OllamaApi.modelsOf("{\"models\":[{\"name\":\"a:latest\",\"size\":1}]}"), ["a:latest"])
    assert.deepStrictEqual(OllamaApi.modelsOf("{\"models\":null}"), [])
    for (const text of ["", "null", "[]", "{}", "{\"models\":[{}]}", "<html>"]) {
      assert.isUndefined(OllamaApi.modelsOf(text))
    }
  })

  it("of loaded models reports what runs on the CPU", () => {
    const ps = (size: number, size_vram?: number) =>
      OllamaApi.partlyOnCpu(JSON.stringify({ models: [{ name: "m:latest", size, size_vram }] }))
    assert.deepStrictEqual(ps(4 * gib, 4 * gib), [])
    assert.deepStrictEqual(ps(0, 0), [])
    const [part] = ps(4 * gib, 3 * gib) ?? []
    assert.strictEqual(part?.code, "engine.partly-on-cpu")
    assert.strictEqual(part?.message, "1.0 GiB of m:latest's 4.0 GiB do not fit the GPU and run on the CPU.")
    assert.strictEqual(ps(4 * gib, 0)?.[0]?.code, "engine.gpu-not-used")
    assert.strictEqual(ps(4 * gib)?.[0]?.code, "engine.gpu-not-used")
    assert.isUndefined(OllamaApi.partlyOnCpu("nonsense"))
    assert.isUndefined(OllamaApi.partlyOnCpu("{\"models\":[]}"))
  })

  it("has its device and its progress in its log", () => {
    const line =
      "time=2026-01-01T00:00:00Z level=INFO source=types.go:42 msg=\"inference compute\" id=GPU-1 library=CUDA"
    assert.strictEqual(OllamaLog.libraryOf(line), "cuda")
    assert.strictEqual(OllamaLog.libraryOf("msg=\"inference compute\" id=cpu library=cpu compute=\"\""), "cpu")
    assert.isUndefined(OllamaLog.libraryOf("library=cpu"))
    assert.strictEqual(OllamaLog.stageOf(line), "Devices detected")
    assert.strictEqual(OllamaLog.stageOf("msg=\"Listening on [::]:11434 (version 0.13.0)\""), "Ollama listens")
    assert.isUndefined(OllamaLog.stageOf("msg=\"server config\""))
  })

  it("is noise when it is about the agent's own questions", () => {
    const gin = (method: string, path: string) =>
      OllamaLog.isNoise(
        `[GIN] 2026/01/01 - 00:00:00 | 200 |   22.3µs |      172.17.0.1 | ${method.padEnd(8)} "${path}"`
      )
    for (const path of ["/api/version", "/api/tags", "/api/ps", "/v1/models", "/"]) {
      assert.isTrue(gin("GET", path), path)
    }
    for (const path of ["/api/pull", "/api/chat"]) assert.isFalse(gin("POST", path), path)
    assert.isFalse(gin("GET", "/api/tagsx"))
  })

  it.each(
    [
      ["pull model manifest: file does not exist", "model-not-found", true],
      ["invalid model name", "model-not-found", true],
      ["pull model manifest: 401: unauthorized", "model-access", true],
      ["max retries exceeded: write /root/.ollama: no space left on device", "disk-full", true],
      ["pull model manifest: 412: requires a newer version of Ollama", "model-unsupported", true],
      ["max retries exceeded: dial tcp: lookup registry.ollama.ai: no such host", "network", false],
      ["dial tcp: lookup registry.ollama.ai on 10.0.0.1:53: server misbehaving", "network", false],
      ["pull model manifest: 400: bad request", "model-not-found", true],
      ["pull model manifest: 403: ", "model-access", true],
      ["pull model manifest: 404: ", "model-not-found", true],
      ["pull model manifest: 502: bad gateway", "network", false],
      ["EOF", "network", false]
    ] as const
  )("of a pull that failed: %s", (error, cause, lasting) => {
    const diagnosis = OllamaDiagnosis.ofPull("some/model", error)
    assert.deepInclude(diagnosis, { cause, lasting })
    assert.include(diagnosis.message, "\"some/model\"")
    assert.include(diagnosis.message, error.trim())
    assert.isNotEmpty(diagnosis.remedy)
  })
})
