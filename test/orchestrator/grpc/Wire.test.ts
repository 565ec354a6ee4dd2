import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { NodeCapabilities } from "../../../src/node/CapabilitiesSchema.js"
import { methodOf } from "../../../src/grpc/GrpcService.js"
import type { EngineReport, NodeRegistration, RegisteredNode } from "../../../src/node/Node.js"
import * as Payload from "../../../src/orchestrator/grpc/Payload.js"
import * as Wire from "../../../src/orchestrator/grpc/Wire.js"
import * as WireNode from "../../../src/orchestrator/grpc/WireNode.js"
import type { RegisterNodeRequest__Output } from "../../../src/proto/generated/orchion/v1/RegisterNodeRequest.js"
import { OrchestratorService, OrchionLLMService } from "../../../src/proto/OrchionV1.js"
import * as Machines from "../../support/Machines.js"

const nowUnix = 1_790_000_000

/** What an orchestrator reads of the bytes that an agent sends. */
const sent = (node: NodeRegistration): RegisteredNode => {
  const { requestDeserialize, requestSerialize } = methodOf(OrchestratorService, "RegisterNode")
  const request: RegisterNodeRequest__Output = requestDeserialize(
    requestSerialize({ node: Wire.toNode(node, nowUnix) })
  )
  if (request.node === null) throw new Error("The node was lost.")
  return WireNode.fromNode(request.node)
}

const registration = (report: Partial<NodeRegistration["report"]> = {}): NodeRegistration => ({
  id: "tester",
  hostname: "host",
  agentAddress: "[fd00::7]:50052",
  report: { ...Machines.report(), ...report }
})

const survives = (capabilities: NodeCapabilities) =>
  assert.deepStrictEqual(sent(registration({ capabilities })).report?.capabilities, capabilities)

const encode = Schema.encodeSync(NodeCapabilities)
const decode = Schema.decodeUnknownSync(NodeCapabilities)

/** Text of any language, and none of what UTF-8 cannot hold. */
const text = FastCheck.string({ unit: "grapheme", maxLength: 20 })

/** Without what is not there, or empty. */
const known = (texts: Readonly<Record<string, string | undefined>>) =>
  Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined && text !== ""))

describe("what an agent knows of its machine", () => {
  it("reaches the orchestrator whole", () => {
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(NodeCapabilities), text, (generated, word) => {
        const encoded = encode(generated)
        const { model, vendor, ...cpu } = encoded.cpu
        survives(decode({
          ...encoded,
          // Of these two the wire cannot tell an empty text from an absent one.
          cpu: { ...cpu, ...known({ model, vendor }) },
          // The wire counts whole seconds.
          os: { ...encoded.os, distribution: word, uptimeSeconds: Math.floor(encoded.os.uptimeSeconds % 1e9) }
        }))
      }),
      { numRuns: 300 }
    )
  })

  it("reaches it with values beyond 32 bits, with zeros and with empty texts", () => {
    const { maxSafe, zero } = { maxSafe: Number.MAX_SAFE_INTEGER, zero: 0 }
    for (const bytes of [zero, 2 ** 32, maxSafe]) {
      survives(Machines.machine({
        memory: Machines.memory({
          totalBytes: bytes,
          availableBytes: bytes,
          swapTotalBytes: bytes,
          swapFreeBytes: bytes,
          limitBytes: bytes,
          limitUsedBytes: bytes
        }),
        gpus: [Machines.gpu({ memoryTotalBytes: bytes, uuid: "", temperatureCelsius: -12.5, utilizationPercent: 0 })],
        disks: [Machines.disk(bytes)]
      }))
    }
  })

  it("leaves what is unknown unknown", () => {
    const { report } = sent(registration())
    assert.isFalse(report === undefined)
    assert.deepStrictEqual(Object.keys(report?.capabilities.cpu ?? {}).sort(), [
      "architecture",
      "features",
      "logicalCores"
    ])
    assert.notProperty(report?.capabilities ?? {}, "network")
  })

  it("comes with who the node is, its engines, its labels and its version", () => {
    const engines: ReadonlyArray<EngineReport> = [
      {
        name: "vllm",
        state: "loading",
        models: ["org/model", "alias"],
        detail: "loading the weights",
        progress: 0.4,
        restarts: 2,
        image: "vllm/vllm-openai:latest"
      },
      {
        name: "ollama",
        state: "ready",
        models: [],
        detail: "",
        restarts: 0,
        figures: {
          requests: 2 ** 53 - 1,
          errors: 1,
          errorsByKind: [{ kind: "busy", count: 1 }],
          inFlight: 3,
          promptTokens: 12,
          completionTokens: 40,
          tokensPerSecond: 31.5,
          firstTokenMs: 8.25,
          durationMs: 900
        }
      }
    ]
    const labels: Readonly<Record<string, string>> = {
      zone: "rack-7",
      _private: "kept",
      cache_bytes: "12",
      camelCase: "kept"
    }
    const node = sent(registration({ engines, labels, agentVersion: "1.2.3" }))
    assert.deepInclude(node, {
      id: "tester",
      hostname: "host",
      agentAddress: "[fd00::7]:50052",
      lastSeenUnix: nowUnix,
      stale: false
    })
    assert.deepStrictEqual(node.report?.engines, engines)
    assert.deepStrictEqual({ ...node.report?.labels }, labels)
    assert.strictEqual(node.report?.agentVersion, "1.2.3")
  })

  it("comes with the id of its process, and says when it stops", () => {
    const node = sent({ ...registration(), instanceId: "7f1c" })
    assert.deepInclude(node, { instanceId: "7f1c", stopped: false })
    assert.notProperty(sent(registration()), "instanceId")
    const { requestDeserialize, requestSerialize } = methodOf(OrchestratorService, "UpdateNode")
    const update = (report: NodeRegistration["report"]) =>
      requestDeserialize(requestSerialize(Wire.toUpdate("tester", report)))
    assert.deepInclude(update({ ...Machines.report(), leaving: true }), { node_id: "tester", leaving: true })
    assert.deepInclude(update(Machines.report()), { leaving: false })
  })

  it("has no text that is not valid UTF-8, whatever was cut where", () => {
    const half = "half an emoji \ud83d"
    const { report } = sent(registration({ agentVersion: half, labels: { [half]: half } }))
    assert.strictEqual(report?.agentVersion, "half an emoji \ufffd")
    assert.deepStrictEqual({ ...report?.labels }, { "half an emoji \ufffd": "half an emoji \ufffd" })
    const bytes = methodOf(OrchionLLMService, "ChatCompletion").requestSerialize({
      model: "m",
      messages: [{ role: "user", content: half }]
    })
    assert.strictEqual(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(-17)), "half an emoji \ufffd")
  })

  it("has its descriptions in the fields that dashboards read, the superseded one too", () => {
    const wire = Wire.toCapabilities(Machines.report(Machines.machine({ gpus: [Machines.gpu()] })))
    assert.deepInclude(wire, {
      cpu: "8 cores",
      memory: "100.00 GB",
      os: "linux/amd64",
      gpu_type: "NVIDIA H200",
      gpu_vram_total: "140.0 GB",
      gpu_vram_available: "138.0 GB",
      gpu_vram_used: "2.0 GB",
      gpu_temperature: "33°C",
      gpu_power_usage: "75.2 W",
      power_usage: "75.2 W"
    })
  })
})

describe("what another agent sends", () => {
  const received = (node: object): RegisteredNode => {
    const { requestDeserialize, requestSerialize } = methodOf(OrchestratorService, "RegisterNode")
    const request: RegisterNodeRequest__Output = requestDeserialize(requestSerialize({ node }))
    if (request.node === null) throw new Error("The node was lost.")
    return WireNode.fromNode(request.node)
  }

  it("is read without our fields, and without capabilities", () => {
    const node = received({ id: "theirs", hostname: "h", capabilities: { cpu: "8 cores" } })
    assert.strictEqual(node.strings.cpu, "8 cores")
    assert.notProperty(node, "report")
    assert.strictEqual(received({ id: "theirs" }).strings.gpuType, "")
  })

  it("is read by its descriptions alone when its values make no sense", () => {
    const whole = Wire.toCapabilities(Machines.report())
    const node = received({
      id: "theirs",
      capabilities: { ...whole, cpu_info: { architecture: "", logical_cores: 0 } }
    })
    assert.strictEqual(node.strings.cpu, "8 cores")
    assert.notProperty(node, "report")
  })

  it("is read with an engine state that we do not know yet, as not ready", () => {
    const whole = Wire.toCapabilities(Machines.report())
    const node = received({
      id: "theirs",
      capabilities: { ...whole, engines: [{ name: "new", state: "migrating", detail: "half way" }] }
    })
    assert.deepInclude(node.report?.engines[0], { state: "unhealthy", detail: "migrating: half way" })
  })
})

describe("a job's payload", () => {
  it("is the request as its RPC sends it", () => {
    const chat = {
      model: "m",
      messages: [{ role: "user", content: "Grüße" }],
      stream: true,
      temperature: 0.5,
      maxTokens: 7
    }
    const { requestDeserialize } = methodOf(OrchionLLMService, "ChatCompletion")
    assert.deepInclude(requestDeserialize(Payload.serialize({ id: "1", type: "chat", request: chat })), {
      model: "m",
      messages: [{ role: "user", content: "Grüße" }],
      stream: true,
      temperature: 0.5,
      max_tokens: 7
    })
    const embeddings = { model: "m", input: ["a", "b"] }
    assert.deepInclude(
      methodOf(OrchionLLMService, "Embeddings").requestDeserialize(
        Payload.serialize({ id: "2", type: "embeddings", request: embeddings })
      ),
      embeddings
    )
  })
})
