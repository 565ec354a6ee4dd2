import * as path from "node:path"
import * as protoLoader from "@grpc/proto-loader"
import type { MethodDefinition, ServiceDefinition } from "@grpc/proto-loader"
import { assert, describe, it } from "vitest"
import { serviceDefinition } from "../../src/proto/Definitions.js"

const loaded = protoLoader.loadSync(["orchion/v1/orchestrator.proto", "grpc/health/v1/health.proto"], {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: [path.resolve(import.meta.dirname, "../../proto")]
})

const names = [
  ...["Orchestrator", "OrchionLLM", "NodeAgent", "LogStreamer"].map((name) => `orchion.v1.${name}`),
  "grpc.health.v1.Health"
]

/** Messages that between them have every kind of field. */
const samples: Readonly<Record<string, object>> = {
  RegisterNode: {
    node: {
      id: "n",
      last_seen_unix: "9007199254740993",
      capabilities: {
        cpu: "8 cores",
        labels: { a: "b" },
        cpu_info: { logical_cores: 8, limit_cores: 1.5, features: ["avx2", "neon"] },
        memory_info: { total_bytes: "18446744073709551615", limit_bytes: 0 },
        gpus: [{ vendor: "nvidia", model: "H200", utilization_percent: 0, mig_instances: [{ uuid: "u" }] }]
      },
      stale: true
    }
  },
  SubmitJob: { job_id: "j", job_type: "JOB_TYPE_EMBEDDINGS", payload: Buffer.from([0, 1, 255]) },
  ChatCompletion: {
    model: "m",
    messages: [{ role: "user", content: "ü" }],
    temperature: 0.5,
    stream: true,
    max_tokens: -1
  },
  Embeddings: { model: "m", input: ["a", ""] },
  Check: { service: "orchion.v1.NodeAgent" }
}

describe("Definitions", () => {
  for (const name of names) {
    it(`gives ${name} as proto-loader does`, () => {
      const theirs = loaded[name] as ServiceDefinition
      const ours = serviceDefinition(name)
      assert.sameMembers(Object.keys(ours), Object.keys(theirs))
      for (const [method, mine] of Object.entries(ours)) {
        const other = theirs[method] as MethodDefinition<object, object>
        assert.strictEqual(mine.path, other.path)
        assert.strictEqual(mine.requestStream, other.requestStream)
        assert.strictEqual(mine.responseStream, other.responseStream)
        assert.strictEqual(mine.originalName, other.originalName)
        const sample = samples[method] ?? {}
        const bytes = mine.requestSerialize(sample)
        assert.isTrue(bytes.equals(other.requestSerialize(sample)))
        assert.deepStrictEqual(
          JSON.stringify(mine.requestDeserialize(bytes)),
          JSON.stringify(other.requestDeserialize(bytes))
        )
        const empty = mine.responseSerialize({})
        assert.isTrue(empty.equals(other.responseSerialize({})))
        assert.deepStrictEqual(
          JSON.stringify(mine.responseDeserialize(empty)),
          JSON.stringify(other.responseDeserialize(empty))
        )
      }
    })
  }
})
