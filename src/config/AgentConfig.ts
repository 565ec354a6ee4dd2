/** The agent's settings: one table for its flags, its environment variables and its documentation. */
import * as os from "node:os"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Setting from "./Setting.js"
import * as Format from "./SettingFormat.js"

/** Every setting, by the name of its field in {@link AgentConfig}. */
export const settings = {
  orchestrator: Setting.setting("orchestrator", Format.hostPort, {
    description: "The orchestrator's gRPC address",
    default: "localhost:50051"
  }),
  heartbeatInterval: Setting.setting("heartbeat-interval", Format.durationBetween("100ms", "1h"), {
    description: "Time between heartbeats",
    default: "5s"
  }),
  capabilityInterval: Setting.setting("capability-interval", Format.durationBetween("500ms", "24h"), {
    description: "Time between looks at the hardware",
    default: "10s"
  }),
  nodeId: Setting.optional("node-id", Format.identifier("id"), {
    description: "This node's id in the cluster",
    note: "made once and kept in the state directory"
  }),
  hostname: Setting.optional("hostname", Format.identifier("name"), {
    description: "The name that people see",
    note: "the system's"
  }),
  agentPort: Setting.setting("agent-port", Format.listenPort, {
    description: "Port of this agent's NodeAgent service; 0 picks a free one",
    default: "50052"
  }),
  advertiseAddress: Setting.optional("advertise-address", Format.hostWithOptionalPort, {
    description: "Where the orchestrator reaches this agent",
    note: "the local address that reaches the orchestrator"
  }),
  stateDir: Setting.optional("state-dir", Format.text("directory", "a directory's path"), {
    description: "Where the agent keeps its identity",
    note: "$STATE_DIRECTORY, else /var/lib/orchion as root, else $XDG_STATE_HOME/orchion"
  }),
  logLevel: Setting.setting("log-level", Format.choice("debug", "info", "warn", "error"), {
    description: "The least important lines to log",
    default: "info"
  }),
  logFormat: Setting.setting("log-format", Format.choice("auto", "pretty", "json"), {
    description: "auto is pretty on a terminal and JSON elsewhere",
    default: "auto"
  }),
  dockerHost: Setting.optional("docker-host", Format.text("url", "a URL such as unix:///var/run/docker.sock"), {
    description: "The container engine's endpoint",
    note: "found as the docker command finds it"
  }),
  enableVllm: Setting.toggle("enable-vllm", "Run vLLM"),
  vllmModel: Setting.setting("vllm-model", Format.modelName, {
    description: "The model that vLLM serves",
    default: "mistralai/Mistral-7B-Instruct-v0.1"
  }),
  vllmPort: Setting.setting("vllm-port", Format.fixedPort, { description: "vLLM's port", default: "8000" }),
  vllmGpus: Setting.setting("vllm-gpus", Format.gpuSelection, {
    description: "The GPUs that vLLM may use",
    default: "all"
  }),
  vllmTensorParallel: Setting.setting("vllm-tensor-parallel", Format.positiveInteger(1024), {
    description: "GPUs that share one copy of the model",
    default: "1"
  }),
  vllmMaxModelLen: Setting.setting("vllm-max-model-len", Format.positiveInteger(100_000_000), {
    description: "Longest context, in tokens",
    default: "4096"
  }),
  vllmImage: Setting.setting("vllm-image", Format.imageName, {
    description: "vLLM's container image",
    default: "vllm/vllm-openai:latest"
  }),
  vllmArgs: Setting.repeatable(
    "vllm-arg",
    Format.text("argument", "an argument without control characters"),
    "A further argument for vLLM; may be given several times"
  ),
  vllmVolume: Setting.setting("vllm-volume", Format.volumeSource, {
    description: "Where vLLM keeps the weights it downloads: a volume's name or a directory",
    default: "orchion-vllm-weights"
  }),
  vllmMemory: Setting.optional("vllm-memory", Format.byteSize(64 * 1024 ** 2), {
    description: "The most main memory that vLLM may use",
    note: "unlimited"
  }),
  enableOllama: Setting.toggle("enable-ollama", "Run Ollama"),
  ollamaModel: Setting.setting("ollama-model", Format.modelName, {
    description: "The model that Ollama serves",
    default: "llama2"
  }),
  ollamaPort: Setting.setting("ollama-port", Format.fixedPort, { description: "Ollama's port", default: "11434" }),
  ollamaGpus: Setting.setting("ollama-gpus", Format.gpuSelection, {
    description: "The GPUs that Ollama may use",
    default: "all"
  }),
  ollamaImage: Setting.setting("ollama-image", Format.imageName, {
    description: "Ollama's container image",
    default: "ollama/ollama:latest"
  }),
  ollamaVolume: Setting.setting("ollama-volume", Format.volumeSource, {
    description: "Where Ollama keeps its models: a volume's name or a directory",
    default: "orchion-ollama-models"
  }),
  ollamaMemory: Setting.optional("ollama-memory", Format.byteSize(64 * 1024 ** 2), {
    description: "The most main memory that Ollama may use",
    note: "unlimited"
  }),
  engineBindAddress: Setting.setting("engine-bind-address", Format.listenAddress, {
    description: "Where engine ports are published",
    default: "127.0.0.1"
  }),
  keepEngines: Setting.toggle("keep-engines", "Leave engines running at exit and adopt them at the next start"),
  drainTimeout: Setting.setting("drain-timeout", Format.durationBetween("0s", "24h"), {
    description: "How long answers that are under way may take to end when the agent stops",
    default: "30s"
  }),
  maxRequestsPerEngine: Setting.setting("max-requests-per-engine", Format.positiveInteger(100_000), {
    description: "Requests that an engine is given at once; more are refused",
    default: "256"
  }),
  ollamaPullOnDemand: Setting.toggle("ollama-pull-on-demand", "Have Ollama pull models that are asked for")
} as const

/** The values of the settings, each read as its format says. */
export type AgentSettings = Setting.Settings<typeof settings>

/** The settings of one agent. */
export class AgentConfig extends Context.Tag("@orchion/node-agent/AgentConfig")<AgentConfig, AgentSettings>() {}

/** Reads all settings; what comes first in `sources` wins. */
export const fromSources = (
  sources: ReadonlyArray<Setting.Source>
): Either.Either<AgentSettings, Setting.InvalidSetting> => Setting.readTable(settings, sources)

/** The settings of the environment, or the defaults. */
export const layerEnvironment: Layer.Layer<AgentConfig, Setting.InvalidSetting> = Layer.effect(
  AgentConfig,
  Effect.suspend(() => fromSources([Setting.environment(process.env)]))
)

/** Settings as their texts, by name (`{ "heartbeat-interval": "1s" }`); defaults for the rest. For programs and tests. */
export const layer = (
  texts: Readonly<Record<string, string>> = {}
): Layer.Layer<AgentConfig, Setting.InvalidSetting> =>
  Layer.effect(AgentConfig, Effect.suspend(() => fromSources([Setting.program(texts)])))

/** The state directory when no setting names one. */
export const defaultStateDir = (env: NodeJS.ProcessEnv = process.env): string => {
  // systemd lists several directories with colons in between; the first is ours.
  const systemd = env["STATE_DIRECTORY"]?.split(":")[0]
  if (systemd !== undefined && systemd !== "") return systemd
  if (process.getuid?.() === 0) return "/var/lib/orchion"
  const xdg = env["XDG_STATE_HOME"]
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, "orchion")
  if (process.platform === "win32") return path.join(env["LOCALAPPDATA"] ?? os.homedir(), "Orchion")
  return path.join(os.homedir(), ".local", "state", "orchion")
}

/** The state directory that holds for these settings. */
export const stateDir = (config: AgentSettings): string => Option.getOrElse(config.stateDir, () => defaultStateDir())
