import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { GpuProcess } from "../../src/node/NodeCapabilities.js"
import * as DockerError from "../../src/docker/api/DockerError.js"
import * as Diagnosis from "../../src/engine/Diagnosis.js"
import { diagnosis as ollama } from "../../src/engine/ollama/OllamaDiagnosis.js"
import { diagnosis as vllm } from "../../src/engine/vllm/VllmDiagnosis.js"
import { gib } from "../support/Machines.js"
import { nvidia } from "./Planning.js"

const evidence = (
  lines: ReadonlyArray<string>,
  more: Partial<Diagnosis.Evidence> = {}
): Diagnosis.Evidence => ({
  model: "org/model",
  exit: { exitCode: 1, oomKilled: false },
  lines,
  gpus: [],
  ...more
})

const generic = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"

/** As vLLM writes them: the line, the cause, its message, its remedy. */
const causes: ReadonlyArray<readonly [line: string, cause: Diagnosis.Cause, message: RegExp, remedy: RegExp]> = [
  [
    "ValueError: Free memory on device cuda:0 (3.61/79.11 GiB) on startup is less than desired GPU memory utilization (0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
    "gpu-memory-busy",
    /^vLLM found too little free GPU memory: 3\.61\/79\.11 GiB, it wants 0\.9, 71\.2 GiB\.$/,
    /--gpu-memory-utilization=0\.5/
  ],
  [
    "ValueError: something is less than desired GPU memory utilization",
    "gpu-memory-busy",
    /less free GPU memory/,
    /--gpu-memory-utilization/
  ],
  [
    "ValueError: To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is needed, which is larger than the available KV cache memory (5.26 GiB). Based on the available memory, the estimated maximum model length is 43072. Try increasing `gpu_memory_utilization`",
    "kv-cache-too-small",
    /at most 43072 tokens fit/,
    /^Set --vllm-max-model-len to 43072 or less\.$/
  ],
  [
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
    "kv-cache-too-small",
    /leave too little GPU memory/,
    /--vllm-max-model-len/
  ],
  [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB. GPU 0 has a total capacity of 23.64 GiB",
    "gpu-out-of-memory",
    /^The GPU ran out of memory: it tried to allocate 224\.00 MiB\.$/,
    /smaller model.*--vllm-tensor-parallel.*--vllm-max-model-len/
  ],
  ["torch.OutOfMemoryError: HIP out of memory.", "gpu-out-of-memory", /^The GPU ran out of memory\.$/, /smaller model/],
  [
    "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG`",
    "no-gpu-in-container",
    /no GPU inside the container \(vLLM found no device\)/,
    /nvidia-ctk.*--vllm-gpus none/
  ],
  [
    "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
    "no-gpu-in-container",
    /\(libcuda\.so\.1 is missing\)/,
    /nvidia-ctk/
  ],
  [
    "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1)",
    "model-access",
    /denied access to "org\/model"/,
    /https:\/\/huggingface\.co\/org\/model.*HF_TOKEN/
  ],
  ["OSError: You are trying to access a gated repo.", "model-access", /token is missing/, /HF_TOKEN/],
  [
    "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. Repository Not Found for url",
    "model-not-found",
    /no model "org\/model"/,
    /--vllm-model.*HF_TOKEN/
  ],
  [
    "  Value error, Model architectures ['StandInForCausalLM'] are not supported for now. Supported architectures: dict_keys([...])",
    "model-unsupported",
    /architecture \['StandInForCausalLM'\]/,
    /--vllm-image/
  ],
  [
    "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)",
    "shared-memory",
    /NCCL: unhandled system error/,
    /IPC|shm/
  ],
  [
    "vllm serve: error: unrecognized arguments: --no-such-thing",
    "bad-argument",
    /unrecognized arguments: --no-such-thing/,
    /--vllm-arg/
  ],
  ["OSError: [Errno 28] No space left on device", "disk-full", /disk is full/, /docker system df.*--vllm-volume/],
  ["OSError: [Errno 98] Address already in use", "port-in-container", /inside the container/, /--vllm-arg/],
  [
    "requests.exceptions.ConnectionError: Max retries exceeded with url: /api/models (Temporary failure in name resolution)",
    "network",
    /could not reach the server/,
    /HTTPS_PROXY/
  ]
]

describe("why an engine ended", () => {
  it.each(causes)("is in its lines: %s", (line, cause, message, remedy) => {
    for (
      const lines of [
        [line],
        // The generic line comes last whatever happened, and each process repeats it.
        [`(EngineCore pid=94) ERROR 11-24 17:00:00 [core.py:866] ${line}`, `(APIServer pid=1) ${generic}`],
        [
          `\u001b[1;36m(EngineCore_DP0 pid=94)\u001b[0;0m ${line}`,
          ...Array.from({ length: 100 }, () => "  at"),
          generic
        ],
        [`(Worker_TP0 pid=9) (EngineCore pid=94) ${line}`]
      ]
    ) {
      const diagnosis = Diagnosis.ofEnd(vllm, evidence(lines))
      assert.strictEqual(diagnosis.cause, cause)
      assert.match(diagnosis.message, message)
      assert.match(diagnosis.remedy, remedy)
      assert.strictEqual(diagnosis.lasting, cause !== "network")
    }
  })

  it.each(causes)("is not in a warning: %s", (line) => {
    for (
      const warning of [
        `WARNING 11-24 17:00:00 [utils.py:1] ${line}`,
        `(EngineCore pid=94) WARNING 11-24 17:00:00 [utils.py:1] ${line}`,
        `\u001b[1;36m(EngineCore_0 pid=94)\u001b[0;0m WARNING 11-24 17:00:00 [utils.py:1] ${line}`,
        `WARN ${line}`
      ]
    ) {
      const diagnosis = Diagnosis.ofEnd(vllm, evidence([warning, "AssertionError: the stars are not right", generic]))
      assert.strictEqual(diagnosis.cause, "crashed")
      assert.strictEqual(
        diagnosis.message,
        "vLLM ended with exit code 1. Its last line: AssertionError: the stars are not right"
      )
    }
  })

  it("names who holds the memory", () => {
    const gpus = [
      nvidia(0, { foreignProcesses: [new GpuProcess({ pid: 7, name: "python3", memoryUsedBytes: 20 * gib })] }),
      nvidia(1, { foreignProcesses: [new GpuProcess({ pid: 8, name: "blender" })] })
    ]
    const [line = ""] = causes[0] ?? []
    assert.match(
      Diagnosis.ofEnd(vllm, evidence([line], { gpus })).remedy,
      /^Stop the programs that hold it \(python3 \(pid 7, 20\.0 GiB\), blender \(pid 8\)\), or lower/
    )
  })

  it("is memory when the kernel says so, whatever the lines say", () => {
    const exit = { exitCode: 137, oomKilled: true }
    const lines = ["torch.OutOfMemoryError: CUDA out of memory."]
    assert.deepInclude(Diagnosis.ofEnd(vllm, evidence(lines, { exit, memoryLimitBytes: 2 * gib })), {
      cause: "memory-limit",
      message: "The kernel killed vLLM: it needed more than its 2.0 GiB of memory.",
      remedy: "Raise --vllm-memory, or use a smaller model.",
      lasting: true
    })
    assert.match(Diagnosis.ofEnd(vllm, evidence(lines, { exit })).message, /the machine ran out of memory/)
    assert.match(
      Diagnosis.ofEnd(ollama, evidence([], { exit, memoryLimitBytes: gib })).remedy,
      /^Raise --ollama-memory/
    )
  })

  it.each(
    [
      [{ exitCode: 0 }, "ended", /^Ollama exited on its own, without an error\. Its last line: the end$/],
      [{ exitCode: 3 }, "crashed", /^Ollama ended with exit code 3\. Its last line: the end$/],
      [{ exitCode: 3, error: "runc: no" }, "crashed", /^Ollama ended with exit code 3 \(runc: no\)\./],
      [{ exitCode: 137 }, "killed", /^Ollama was killed from outside \(SIGKILL\)\./],
      [{ exitCode: 143 }, "killed", /^Ollama was killed from outside \(SIGTERM\)\./],
      [{ exitCode: 139 }, "crashed", /^Ollama ended with signal SIGSEGV\./],
      [{ exitCode: 134 }, "crashed", /^Ollama ended with signal SIGABRT\./],
      [{ exitCode: 135 }, "crashed", /^Ollama ended with signal 7\./]
    ] as const
  )("is its exit when no line is known: %j", (exit, cause, message) => {
    const diagnosis = Diagnosis.ofEnd(
      ollama,
      evidence(["msg=listening", "the end", ""], { exit: { oomKilled: false, ...exit } })
    )
    assert.strictEqual(diagnosis.cause, cause)
    assert.match(diagnosis.message, message)
    assert.isFalse(diagnosis.lasting)
  })

  it("is not sought in the lines of one that was stopped, or is gone", () => {
    const lines = ["401 Client Error", "No space left on device"]
    const causeOf = (exit: Diagnosis.Evidence["exit"]) => Diagnosis.ofEnd(vllm, evidence(lines, { exit })).cause
    assert.strictEqual(causeOf({ exitCode: 143, oomKilled: false }), "killed")
    assert.strictEqual(causeOf({ exitCode: 0, oomKilled: false }), "ended")
    assert.strictEqual(causeOf(undefined), "removed")
  })

  it("never speaks of vLLM where Ollama ended", () => {
    for (const [line] of causes) {
      const { message, remedy } = Diagnosis.ofEnd(ollama, evidence([line]))
      assert.notMatch(message.replace(line, "").replace(/Its last line.*/, ""), /vLLM/)
      assert.notMatch(remedy, /--vllm-(?!volume)/)
    }
    const causeOf = (line: string) => Diagnosis.ofEnd(ollama, evidence([line])).cause
    assert.strictEqual(causeOf("Error: mkdir /root/.ollama/blobs: no space left on device"), "disk-full")
    assert.strictEqual(
      causeOf("Error: listen tcp 0.0.0.0:11434: bind: address already in use"),
      "port-in-container"
    )
    const panic = Diagnosis.ofEnd(
      ollama,
      evidence(["panic: runtime error: invalid memory address", "[signal SIGSEGV: segmentation violation]"], {
        exit: { exitCode: 2, oomKilled: false }
      })
    )
    assert.match(panic.message, /Its last line: panic: runtime error/)
  })

  it("quotes the last error, and not all of a long one", () => {
    const words = (...lines: ReadonlyArray<string>) =>
      Diagnosis.ofEnd(vllm, evidence(lines)).message.split("last line: ")[1]
    assert.strictEqual(words("INFO a", "builtins.ValueError: b", "INFO c"), "builtins.ValueError: b")
    assert.strictEqual(words("(APIServer pid=1) INFO a", ""), "INFO a")
    assert.isUndefined(words())
    assert.strictEqual(words("x".repeat(1000))?.length, 301)
  })

  it("does not take long to find, whatever was written", () => {
    const hostile = [
      `(${"a".repeat(2000)}`,
      `${"(a pid=1".repeat(250)}`,
      `Free memory on device ${"()".repeat(1000)}`,
      `Model architectures ${" are".repeat(500)}`,
      "NCCL".repeat(500)
    ]
    const lines = Array.from({ length: 200 }, (_, index) => hostile[index % hostile.length] ?? "")
    const from = performance.now()
    Diagnosis.ofEnd(vllm, evidence(lines))
    // A regular expression that tries all ways takes minutes; this takes milliseconds.
    assert.isBelow(performance.now() - from, 5000)
  })
})

describe("why Docker could not", () => {
  it("is what Docker's errors say, and whether a retry helps", () => {
    const of = (error: Parameters<typeof Diagnosis.ofDockerError>[1]) => Diagnosis.ofDockerError(vllm, error)
    const gone = of(new DockerError.ContainerNotFound({ container: "abc" }))
    assert.deepInclude(gone, { cause: "removed", lasting: false })
    const full = of(new DockerError.OutOfDisk({ subject: "image \"x\"" }))
    assert.deepInclude(full, { cause: "disk-full", lasting: true })
    const taken = of(new DockerError.PortTaken({ container: "c", port: 8000, protocol: "tcp" }))
    assert.deepInclude(taken, { cause: "docker", lasting: true })
    assert.match(taken.message, /8000/)
    const failed = of(new DockerError.ImagePullFailed({ image: "x", attempts: 3, detail: "EOF" }))
    assert.deepInclude(failed, { cause: "docker", lasting: false })
  })
})

describe("what is said of one that runs", () => {
  it("has figures", () => {
    assert.strictEqual(
      Diagnosis.stalled(vllm, Duration.minutes(10), ["(EngineCore pid=1) INFO a"]).message,
      "vLLM has been silent for 10m while starting; its last line: INFO a."
    )
    assert.match(Diagnosis.stalled(vllm, Duration.minutes(10), []).message, /starting: it wrote nothing\.$/)
    assert.match(Diagnosis.unhealthy(ollama, 3, "no answer").message, /^Ollama failed 3 health checks in a row: no/)
    assert.match(Diagnosis.hung(vllm, 5, Duration.minutes(2)).message, /5 requests.*2m/)
  })
})
