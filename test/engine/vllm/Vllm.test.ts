import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import { GpuProcess } from "../../../src/node/NodeCapabilities.js"
import * as EngineContainer from "../../../src/engine/EngineContainer.js"
import * as VllmArguments from "../../../src/engine/vllm/VllmArguments.js"
import * as VllmLog from "../../../src/engine/vllm/VllmLog.js"
import * as VllmPlan from "../../../src/engine/vllm/VllmPlan.js"
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
type Machine = Parameters<typeof VllmPlan.plan>[1]

const plan = (values: Values, of: Machine = machine([nvidia(0)])) =>
  planned(VllmPlan.plan(settings({ "vllm-model": "org/model", ...values }), of))
const refused = (values: Values, of: Machine) => refusal(VllmPlan.plan(settings(values), of))
const command = (values: Values, of?: Machine) => plan(values, of).spec.command

const mounts = (more: ReadonlyArray<Record<string, unknown>> = []) => [
  { Type: "volume", Source: "orchion-vllm-weights", Target: "/root/.cache/huggingface", ReadOnly: false },
  {
    Type: "volume",
    Source: `${EngineContainer.name({ nodeId: "node-1", engine: "vllm" })}-compile-cache`,
    Target: "/root/.cache/vllm",
    ReadOnly: false
  },
  ...more
]

describe("vLLM's container", () => {
  it("gets the model and the flags, each where it belongs", () => {
    assert.deepStrictEqual(command({}), ["org/model", "--max-model-len", "4096"])
    assert.deepStrictEqual(
      command(
        {
          "vllm-max-model-len": "1234",
          "vllm-tensor-parallel": "2",
          "vllm-arg": ["--served-model-name", "mine", "--enforce-eager"]
        },
        machine([nvidia(0), nvidia(1)])
      ),
      [
        "org/model",
        ...["--max-model-len", "1234", "--tensor-parallel-size", "2"],
        ...["--served-model-name", "mine", "--enforce-eager"]
      ]
    )
    const { baseUrl, spec } = plan({
      "vllm-port": "9000",
      "vllm-image": "own/vllm:v1",
      "vllm-memory": "2GiB",
      "vllm-volume": "own-weights"
    })
    assert.strictEqual(baseUrl, "http://127.0.0.1:9000")
    assert.deepInclude(spec, { image: "own/vllm:v1", memoryBytes: 2 * gib })
    const directory = plan({ "vllm-volume": "/data/weights" })
    assert.deepInclude(host(directory)["Mounts"], {
      Type: "bind",
      Source: "/data/weights",
      Target: "/root/.cache/huggingface",
      ReadOnly: false
    })
  })

  it("is reached where it is published", () => {
    for (
      const [address, published, url] of [
        ["127.0.0.1", "127.0.0.1", "http://127.0.0.1:8000"],
        ["localhost", "127.0.0.1", "http://127.0.0.1:8000"],
        ["0.0.0.0", "0.0.0.0", "http://127.0.0.1:8000"],
        ["::", "::", "http://[::1]:8000"],
        ["10.0.0.7", "10.0.0.7", "http://10.0.0.7:8000"],
        ["fd00::7", "fd00::7", "http://[fd00::7]:8000"]
      ] as const
    ) {
      const made = plan({ "engine-bind-address": address })
      assert.strictEqual(made.baseUrl, url)
      assert.deepStrictEqual(host(made)["PortBindings"], { "8000/tcp": [{ HostIp: published, HostPort: "8000" }] })
    }
  })

  it("has NVIDIA's GPUs by a request to the runtime", () => {
    const all = plan({}, machine([nvidia(0), nvidia(1)]))
    assert.strictEqual(all.spec.image, "vllm/vllm-openai:latest")
    assert.deepInclude(host(all), {
      DeviceRequests: [{ Driver: "nvidia", Count: -1, Capabilities: [["gpu"]] }],
      IpcMode: "host",
      Privileged: false,
      SecurityOpt: ["no-new-privileges"],
      Mounts: mounts()
    })
    assert.notProperty(host(all), "Devices")
    assert.deepInclude(host(plan({ "vllm-gpus": "1,0" }, machine([nvidia(0), nvidia(1)]))), {
      DeviceRequests: [{ Driver: "nvidia", DeviceIDs: ["1", "0"], Capabilities: [["gpu"]] }]
    })
    assert.deepInclude(host(plan({ "vllm-gpus": "MIG-b" }, machine([mig]))), {
      DeviceRequests: [{ Driver: "nvidia", DeviceIDs: ["MIG-b"], Capabilities: [["gpu"]] }]
    })
    const broken = nvidia(1, { healthy: false, healthProblem: "dead" })
    assert.deepInclude(host(plan({}, machine([nvidia(0), broken]))), {
      DeviceRequests: [{ Driver: "nvidia", DeviceIDs: ["GPU-0"], Capabilities: [["gpu"]] }]
    })
  })

  it("has AMD's GPUs as devices and numeric groups, with an image of their own", () => {
    const all = plan({}, machine([amd(0), amd(1)]))
    assert.strictEqual(all.spec.image, "vllm/vllm-openai-rocm:latest")
    assert.deepInclude(host(all), {
      Devices: [
        { PathOnHost: "/dev/kfd", PathInContainer: "/dev/kfd", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/dri", PathInContainer: "/dev/dri", CgroupPermissions: "rwm" }
      ],
      GroupAdd: ["44", "110"],
      CapDrop: ["ALL"],
      CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SYS_PTRACE"],
      IpcMode: "host",
      SecurityOpt: ["no-new-privileges", "seccomp=unconfined"]
    })
    assert.notProperty(host(all), "DeviceRequests")
    assert.isUndefined(all.spec.env["ROCR_VISIBLE_DEVICES"])
    assert.strictEqual(
      plan({ "vllm-gpus": "1" }, machine([amd(0), amd(1)])).spec.env["ROCR_VISIBLE_DEVICES"],
      "1"
    )
    // An image that was chosen stays.
    assert.strictEqual(plan({ "vllm-image": "own/rocm" }, machine([amd(0)])).spec.image, "own/rocm")
  })

  it("has Intel's GPUs with all rights, and by their indexes", () => {
    const all = plan({}, machine([intel(0)]))
    assert.strictEqual(all.spec.image, "vllm/vllm-openai-xpu:latest")
    assert.deepInclude(host(all), {
      Devices: [{ PathOnHost: "/dev/dri", PathInContainer: "/dev/dri", CgroupPermissions: "rwm" }],
      Privileged: true,
      IpcMode: "host",
      Mounts: mounts([{ Type: "bind", Source: "/dev/dri/by-path", Target: "/dev/dri/by-path", ReadOnly: true }])
    })
    assert.notProperty(host(all), "SecurityOpt")
    const broken = intel(0, { healthy: false, healthProblem: "dead" })
    // Level Zero knows no ids but indexes.
    assert.strictEqual(plan({}, machine([broken, intel(1)])).spec.env["ZE_AFFINITY_MASK"], "1")
  })

  it("runs on the CPU when it is asked to", () => {
    const values = { "vllm-gpus": "none" }
    const made = plan(values)
    assert.strictEqual(made.spec.image, "vllm/vllm-openai-cpu:latest-x86_64")
    assert.isUndefined(made.gpus)
    assert.deepInclude(host(made), {
      CapDrop: ["ALL"],
      CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SYS_NICE"],
      SecurityOpt: ["no-new-privileges"],
      PidsLimit: 16_384,
      IpcMode: "private",
      ShmSize: 4 * gib,
      Mounts: mounts()
    })
    assert.notProperty(host(made), "DeviceRequests")
    assert.strictEqual(made.spec.env["VLLM_CPU_KVCACHE_SPACE"], "4")
    const env = { VLLM_CPU_KVCACHE_SPACE: "9" }
    assert.strictEqual(plan(values, machine([], { env })).spec.env["VLLM_CPU_KVCACHE_SPACE"], "9")
    const arm = machine([], { architecture: "arm64", features: ["neon"] })
    assert.strictEqual(plan(values, arm).spec.image, "vllm/vllm-openai-cpu:latest-arm64")
  })

  it("is refused early, with the setting that would change it", () => {
    for (
      const [values, of, expected] of [
        [{}, machine(), /this machine has no GPU.*Set --vllm-gpus none.*--enable-ollama/],
        [{}, machine([apple]), /containers cannot use this machine's GPU.*Set --vllm-gpus none/],
        [{ "vllm-gpus": "3" }, machine([nvidia(0)]), /--vllm-gpus is 3, and there is no GPU 3 here.*Give all, none/],
        [
          { "vllm-tensor-parallel": "3" },
          machine([nvidia(0), nvidia(1)]),
          /--vllm-tensor-parallel is 3, and there are 2 GPUs to share the model \(--vllm-gpus all\)\. Give at most 2/
        ],
        [
          { "vllm-tensor-parallel": "2", "vllm-arg": ["--pipeline-parallel-size=2"] },
          machine([nvidia(0), nvidia(1)]),
          /--vllm-tensor-parallel is 2 \(4 GPUs with --pipeline-parallel-size/
        ],
        [
          { "vllm-arg": ["--pipeline_parallel_size", "2"] },
          machine([nvidia(0)]),
          /\(2 GPUs with --pipeline-parallel-size/
        ],
        [{ "vllm-arg": ["-pp", "2"] }, machine([nvidia(0)]), /\(2 GPUs with --pipeline-parallel-size/],
        [{ "vllm-arg": ["--data-parallel-size", "2"] }, machine([nvidia(0)]), /\(2 GPUs with .*--data-parallel-size/],
        [
          {},
          machine([nvidia(0, { model: "Tesla P100", computeCapability: "6.0" })]),
          /Tesla P100 has compute capability 6\.0, and vLLM needs 7\.5 or more/
        ],
        [{ "vllm-gpus": "none" }, machine([], { features: ["avx"] }), /need AVX2, AVX512 or NEON.*--enable-ollama/]
      ] as const
    ) assert.match(refused(values, of), expected)
    // 10.0 is more than 7.5, and an image of one's own may be old enough.
    plan({}, machine([nvidia(0, { computeCapability: "10.0" })]))
    plan({ "vllm-image": "old" }, machine([nvidia(0, { computeCapability: "6.0" })]))
  })

  it("is handed the environment that is meant for it", () => {
    const env = {
      HF_TOKEN: "hf_secret_token",
      HF_ENDPOINT: "https://mirror",
      HF_HOME: "/home/me/hf",
      HF_HUB_CACHE: "/home/me/cache",
      HF_TOKEN_PATH: "/home/me/token",
      HUGGING_FACE_HUB_TOKEN: "hf_other_token",
      VLLM_LOGGING_LEVEL: "DEBUG",
      VLLM_CACHE_ROOT: "/home/me/vllm",
      VLLM_API_KEY: "key-of-env",
      HTTPS_PROXY: "http://me:pass@proxy:3128",
      no_proxy: "localhost",
      OLLAMA_DEBUG: "1",
      PATH: "/bin",
      HF_EMPTY: ""
    }
    const made = plan({}, machine([nvidia(0)], { env }))
    assert.deepStrictEqual(made.spec.env, {
      HF_ENDPOINT: "https://mirror",
      VLLM_LOGGING_LEVEL: "DEBUG",
      no_proxy: "localhost"
    })
    assert.deepStrictEqual(Object.keys(made.spec.secrets).sort(), [
      "HF_TOKEN",
      "HTTPS_PROXY",
      "HUGGING_FACE_HUB_TOKEN",
      "VLLM_API_KEY"
    ])
    assert.include(body(made)["Env"], "HF_TOKEN=hf_secret_token")
    for (const secret of ["hf_secret_token", "hf_other_token", "key-of-env", "pass@proxy"]) {
      assert.notInclude(readable(made), secret)
    }
    assert.strictEqual(made.apiKey === undefined ? "" : Redacted.value(made.apiKey), "key-of-env")
  })

  it.each([
    [["--api-key", "key-of-args"]],
    [["--api-key=key-of-args"]],
    [["--api_key", "key-of-args"]],
    [["--api_key=key-of-args"]],
    [["--enforce-eager", "--api-key", "key-of-args", "--seed", "1"]]
  ])("keeps the API's key out of the command: %j", (args) => {
    const made = plan({ "vllm-arg": args }, machine([nvidia(0)], { env: { VLLM_API_KEY: "key-of-env" } }))
    assert.notInclude(readable(made), "key-of-args")
    assert.include(body(made)["Env"], "VLLM_API_KEY=key-of-args")
    assert.strictEqual(made.apiKey === undefined ? "" : Redacted.value(made.apiKey), "key-of-args")
    assert.deepStrictEqual(
      made.spec.command?.slice(3),
      args.includes("--enforce-eager") ? ["--enforce-eager", "--seed", "1"] : []
    )
  })

  it.each([[["--hf-token", "hf_of_args"]], [["--hf_token=hf_of_args"]]])(
    "keeps the token out of the command: %j",
    (args) => {
      const made = plan({ "vllm-arg": args })
      assert.notInclude(readable(made), "hf_of_args")
      assert.include(body(made)["Env"], "HF_TOKEN=hf_of_args")
    }
  )
})

describe("vLLM's further arguments", () => {
  it.each([
    [["serve"], "is the image's own first argument"],
    [["--model", "x"], "that is given by --vllm-model"],
    [["--model=x"], "that is given by --vllm-model"],
    [["--port", "1"], "that is given by --vllm-port"],
    [["--host=127.0.0.1"], "that is given by --engine-bind-address"],
    [["--tensor-parallel-size", "2"], "that is given by --vllm-tensor-parallel"],
    [["--tensor_parallel_size=2"], "that is given by --vllm-tensor-parallel"],
    [["-tp", "2"], "that is given by --vllm-tensor-parallel"],
    [["-tp=2"], "that is given by --vllm-tensor-parallel"],
    [["--max-model-len=8k"], "that is given by --vllm-max-model-len"],
    [["--max_model_len", "8"], "that is given by --vllm-max-model-len"]
  ])("are refused where a setting gives them: %j", (args, expected) => {
    assert.include(VllmArguments.badArgument(args)?.problem, expected)
  })

  it("are vLLM's own matter otherwise", () => {
    assert.isUndefined(
      VllmArguments.badArgument(["--gpu-memory-utilization=0.5", "--enforce-eager", "--max-num-seqs", "8"])
    )
    assert.isUndefined(VllmArguments.badArgument(["--served-model-name", "serve"]))
  })

  it("name the model that it answers to", () => {
    assert.strictEqual(VllmPlan.servedName(settings({ "vllm-model": "a/b" })), "a/b")
    assert.strictEqual(VllmPlan.servedName(settings({ "vllm-arg": ["--served-model-name", "x", "y"] })), "x")
    assert.strictEqual(VllmPlan.servedName(settings({ "vllm-arg": ["--served_model_name=x"] })), "x")
  })
})

describe("too little free GPU memory for vLLM", () => {
  const shortage = (values: Values, of: Machine) =>
    VllmPlan.memoryShortage(settings({ "vllm-model": "org/model", ...values }), plan(values, of))
  const busy = nvidia(0, {
    memoryTotalBytes: 80 * gib,
    memoryFreeBytes: 30 * gib,
    foreignProcesses: [new GpuProcess({ pid: 4711, name: "python3", memoryUsedBytes: 50 * gib })]
  })

  it("is reported with who holds it, and with what would fit", () => {
    const found = shortage({}, machine([busy]))
    assert.strictEqual(found?.cause, "gpu-memory-busy")
    assert.strictEqual(
      found?.message,
      "GPU 0 (NVIDIA H200) has 30.0 GiB of memory free, and vLLM will ask for 72.0 GiB (90 % of it); it is held by "
        + "python3 (pid 4711, 50.0 GiB)."
    )
    assert.strictEqual(found?.remedy, "Free it, or let vLLM ask for less: --vllm-arg=--gpu-memory-utilization=0.35")
    const none = shortage({}, machine([nvidia(0, { memoryTotalBytes: 80 * gib, memoryFreeBytes: gib })]))
    assert.match(none?.message ?? "", /\(90 % of it\)\.$/)
    assert.match(none?.remedy ?? "", /choose another GPU with --vllm-gpus/)
  })

  it("is none when vLLM asks for less", () => {
    assert.isUndefined(shortage({ "vllm-arg": ["--gpu-memory-utilization", "0.3"] }, machine([busy])))
    assert.isUndefined(shortage({ "vllm-arg": ["--gpu_memory_utilization=0.3"] }, machine([busy])))
    assert.isDefined(shortage({ "vllm-arg": ["--gpu-memory-utilization=much"] }, machine([busy])))
  })

  it("is looked for on the GPUs that vLLM will use", () => {
    assert.isUndefined(shortage({}, machine([nvidia(0), busy])))
    assert.isDefined(shortage({ "vllm-tensor-parallel": "2" }, machine([nvidia(0), busy])))
    assert.isUndefined(shortage({ "vllm-gpus": "none" }, machine([busy])))
  })

  it("is not guessed where it is unknown", () => {
    assert.isUndefined(shortage({}, machine([nvidia(0, { unifiedMemory: true, memoryFreeBytes: gib })])))
    assert.isUndefined(shortage({}, machine([nvidia(0, { memoryTotalBytes: 0, memoryFreeBytes: 0 })])))
    // What other slices of the GPU use is not this slice's.
    const sliced = nvidia(0, { migInstances: mig.migInstances, memoryFreeBytes: gib })
    assert.isUndefined(shortage({ "vllm-gpus": "MIG-a" }, machine([sliced])))
  })
})

describe("what vLLM writes", () => {
  it("reports the progress of its start", () => {
    for (
      const [line, stage] of [
        ["Loading safetensors checkpoint shards:  50% Completed | 1/2", "Loading the weights (50 %)"],
        ["INFO 11-24 [default_loader.py:314] Loading weights took 1.52 seconds", "Weights loaded (1.52 s)"],
        ["INFO [backends.py:559] Dynamo bytecode transform time: 3.02 s", "Compiling the model"],
        ["INFO [monitor.py:34] torch.compile takes 8.10 s in total", "Compiled (8.10 s)"],
        ["Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  45%|####", "Capturing CUDA graphs (45 %)"],
        ["Graph capturing finished in 4 secs, took 0.61 GiB", "CUDA graphs captured (4 s)"],
        ["GPU KV cache size: 431,072 tokens", "Reserved memory for 431,072 tokens of context"],
        [
          "init engine (profile, create kv cache, warmup model) took 14.10 seconds",
          "Engine initialized (14.10 s)"
        ],
        ["INFO:     Application startup complete.", "Started"],
        ["INFO something else", undefined]
      ] as const
    ) assert.strictEqual(VllmLog.stageOf(line), stage)
  })

  it("is noise when it is about the agent's own questions", () => {
    const asked = (what: string) => VllmLog.isNoise(`INFO:     172.17.0.1:55000 - "${what} HTTP/1.1" 200 OK`)
    assert.isTrue(asked("GET /health") && asked("GET /v1/models") && asked("GET /metrics"))
    assert.isFalse(asked("POST /v1/chat/completions") || asked("GET /v1/models/x") || asked("GET /healthy"))
  })

  it("adds up to its load over all engines, by exact names", () => {
    const page = `# HELP vllm:num_requests_running Number of requests
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a{b}c"} 2.0
vllm:num_requests_running{engine="1",model_name="a{b}c"} 1.0
vllm:num_requests_running_by_reason{engine="0"} 100
vllm:prompt_tokens_total{engine="0"} 1e3
vllm:generation_tokens_total 12.0
vllm:generation_tokens_created{engine="0"} 1.76e+09
`
    assert.deepStrictEqual(VllmLog.loadOf(page), { running: 3, tokens: 1012, cacheUsage: 0 })
    assert.strictEqual(VllmLog.loadOf(`${page}vllm:kv_cache_usage_perc{engine="0"} 0.25\n`)?.cacheUsage, 0.25)
    assert.isUndefined(VllmLog.loadOf(""))
    assert.isUndefined(VllmLog.loadOf(page.replace(/^vllm:prompt_tokens_total.*$/m, "")))
    assert.isUndefined(VllmLog.loadOf(page.replace("1e3", "NaN")))
  })
})
