/** A toy engine in a container: the driver that docs/adding-an-engine.md walks through. */
import { EngineDiagnosis, type EngineDriver, EnginePlan, OpenAiProbe } from "@orchion/node-agent"

const name = "toy"
const title = "Toy"

export const driver = (options: { readonly model: string; readonly port: number }): EngineDriver => ({
  name,
  title,
  model: options.model,
  // It computes on the CPU.
  wantsGpu: false,
  publishes: {
    port: options.port,
    refuse: (problem, expected) => {
      throw new Error(`Toy's port cannot be ${options.port}: ${problem}; give ${expected}`)
    }
  },
  plan: ({ nodeId }) =>
    EnginePlan.containerPlan({ nodeId, engine: name, title }, {
      baseUrl: `http://127.0.0.1:${options.port}`,
      model: options.model,
      spec: {
        image: "example/toy:1",
        command: ["--model", options.model],
        ports: [{ container: 8080, hostIp: "127.0.0.1", host: options.port }],
        mounts: [{ _tag: "Volume", name: "orchion-toy-models", target: "/models" }],
        ...EnginePlan.confinement(),
        stopTimeoutSeconds: EnginePlan.stopTimeoutSeconds
      }
    }),
  probe: (plan, checkDeadline) => OpenAiProbe.make({ ...plan, healthPath: "/health" }, checkDeadline),
  log: {
    stageOf: (line) => line.includes("loading model") ? "Loading the model" : undefined,
    isUp: (line) => line.includes("listening on"),
    isNoise: (line) => line.includes("GET /health")
  },
  diagnosis: {
    title,
    known: [{
      markers: ["model file is damaged"],
      explain: (_, { model }) =>
        EngineDiagnosis.lasting(
          "model-not-found",
          `Toy's model ${model} is damaged.`,
          "Remove the volume orchion-toy-models."
        )
    }],
    flags: {}
  }
})
