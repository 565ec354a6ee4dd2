#!/usr/local/bin/node
/**
 * A stand-in for vLLM's OpenAI server, for tests: its command line, its log lines, its HTTP API and its ways to fail,
 * without a model. It runs with nothing but Node: `node vllm.mjs MODEL --port 8000`.
 *
 * The switches below are set by environment variables, and changed while it runs by `POST /standin` with JSON;
 * `GET /standin` tells the state and what was seen.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as http from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { createKit } from "./kit.mjs"

const stages = [
  "boot",
  "config",
  "engine",
  "load",
  "download",
  "weights",
  "compile",
  "profile",
  "capture",
  "init",
  "serve"
]

const cache = process.env["HF_HOME"] ?? path.join(os.homedir(), ".cache/huggingface")

const kit = createKit({
  name: "vllm",
  stages,
  store: cache,
  switches: {
    keepAliveMs: 5000,
    maxModelLen: 131_072, // without --max-model-len
    downloadBytes: 0, // of weights, into the cache, unless they are there
    downloadRate: 0, // bytes a second; 0 is all at once
    lastLine: "auto", // whether a failed start ends with the generic line; auto is as the real cause does
    decoys: false // warnings that look like causes
  },
  choices: { lastLine: ["auto", "always", "never"] }
})
const { switches } = kit

// ---- The command line ----

const withValue = [
  "model",
  "host",
  "port",
  "tensor-parallel-size",
  "pipeline-parallel-size",
  "data-parallel-size",
  "max-model-len",
  "max-num-seqs",
  "max-num-batched-tokens",
  "gpu-memory-utilization",
  "served-model-name",
  "api-key",
  "disable-access-log-for-endpoints",
  "shutdown-timeout",
  "dtype",
  "kv-cache-dtype",
  "kv-cache-memory-bytes",
  "quantization",
  "load-format",
  "download-dir",
  "revision",
  "tokenizer",
  "tokenizer-mode",
  "tokenizer-revision",
  "hf-token",
  "hf-overrides",
  "chat-template",
  "chat-template-content-format",
  "tool-call-parser",
  "reasoning-parser",
  "generation-config",
  "limit-mm-per-prompt",
  "mm-processor-kwargs",
  "lora-modules",
  "max-lora-rank",
  "max-loras",
  "block-size",
  "swap-space",
  "cpu-offload-gb",
  "seed",
  "uvicorn-log-level",
  "allowed-origins",
  "root-path",
  "ssl-keyfile",
  "ssl-certfile",
  "compilation-config",
  "speculative-config",
  "distributed-executor-backend",
  "runner",
  "convert",
  "task",
  "max-log-len",
  "config",
  "scheduling-policy",
  "attention-backend",
  "optimization-level"
]
const short = { tp: "tensor-parallel-size", pp: "pipeline-parallel-size", dp: "data-parallel-size", q: "quantization" }
const many = ["served-model-name", "lora-modules", "api-key"]
const flags = [
  "enforce-eager",
  "trust-remote-code",
  "enable-prefix-caching",
  "enable-chunked-prefill",
  "enable-auto-tool-choice",
  "enable-expert-parallel",
  "enable-lora",
  "enable-sleep-mode",
  "enable-log-requests",
  "enable-prompt-tokens-details",
  "enable-force-include-usage",
  "disable-log-stats",
  "disable-log-requests",
  "disable-uvicorn-access-log",
  "disable-custom-all-reduce",
  "disable-frontend-multiprocessing",
  "disable-fastapi-docs",
  "async-scheduling",
  "language-model-only"
]

const usageError = (text) => {
  process.stderr.write(`usage: vllm serve [model_tag] [options]\nvllm: error: ${text}\n`)
  process.exit(2)
}

const parseArguments = (args) => {
  const options = {}
  const unknown = []
  let model
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]
    if (!arg.startsWith("-")) {
      if (model === undefined) model = arg
      else unknown.push(arg)
      continue
    }
    const [written, inline] = arg.split(/=(.*)/s, 2)
    const bare = written.replace(/^--?/, "").replaceAll("_", "-")
    const key = short[bare] ?? bare
    const flag = key.replace(/^no-/, "")
    if (withValue.includes(key)) {
      const values = inline === undefined ? [] : [inline]
      while (inline === undefined && index + 1 < args.length && !/^-[^0-9]/.test(args[index + 1])) {
        values.push(args[++index])
        if (!many.includes(key)) break
      }
      if (values.length === 0) usageError(`argument --${key}: expected one argument`)
      options[key] = many.includes(key) ? values : values[0]
    } else if (flags.includes(flag)) options[flag] = flag === key
    else unknown.push(arg)
  }
  if (unknown.length > 0) usageError(`unrecognized arguments: ${unknown.join(" ")}`)
  for (const key of ["port", "tensor-parallel-size", "data-parallel-size", "max-num-seqs"]) {
    if (options[key] !== undefined && !/^\d+$/.test(options[key])) {
      usageError(`argument --${key}: invalid int value: '${options[key]}'`)
    }
  }
  return { ...options, model: model ?? options.model ?? "Qwen/Qwen3-0.6B" }
}

/** `8k`, `1K` and numbers, as vLLM reads them. */
const lengthOf = (text) => {
  const match = /^(\d+(?:\.\d+)?)([kKmMgG]?)$/.exec(text)
  if (match === null) usageError(`argument --max-model-len: invalid human_readable_int value: '${text}'`)
  const factor = { "": 1, k: 1e3, K: 1024, m: 1e6, M: 1024 ** 2, g: 1e9, G: 1024 ** 3 }[match[2]]
  return Math.floor(Number(match[1]) * factor)
}

const words = process.argv.slice(2)
// The image's entry point is ["vllm", "serve"], where this file is called vllm.
const asCommand = path.basename(process.argv[1]) === "vllm"
if (asCommand && words[0] !== "serve") usageError("argument subparser: invalid choice (choose from 'serve')")
const options = parseArguments(asCommand ? words.slice(1) : words)
const model = options.model
const served = options["served-model-name"] ?? [model]
const maxModelLen = options["max-model-len"] === undefined ? switches.maxModelLen : lengthOf(options["max-model-len"])
const ranks = Number(options["tensor-parallel-size"] ?? 1)
const engines = Math.max(1, Number(options["data-parallel-size"] ?? 1))
if (options["max-num-seqs"] !== undefined && switches.parallel === 0) switches.parallel = Number(options["max-num-seqs"])

// ---- The log ----

const api = `(APIServer pid=${process.pid})`
const core = `(EngineCore pid=${process.pid + 93})`
const two = (number) => String(number).padStart(2, "0")
const stamp = () => {
  const now = new Date()
  const day = `${two(now.getMonth() + 1)}-${two(now.getDate())}`
  return `${day} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`
}
const log = (who, level, where, text) => process.stdout.write(`${who} ${level} ${stamp()} [${where}] ${text}\n`)
const info = (who, where, text) => log(who, "INFO", where, text)
const bare = (who, text) => process.stderr.write(`${who} ${text}\n`)

const began = Date.now()
const seconds = () => ((Date.now() - began) / 1000).toFixed(2)

/** Why starts fail: at which stage, in which process, with which last words. */
const causes = {
  "no-gpu": {
    stage: "boot",
    in: "api",
    lines: [
      "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging to help debug the issue."
    ]
  },
  "no-libcuda": {
    stage: "boot",
    in: "api",
    lines: ["ImportError: libcuda.so.1: cannot open shared object file: No such file or directory"]
  },
  "gated": {
    stage: "config",
    in: "api",
    lines: [
      `huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-68eb8d3c-1f0c1b3e4c5d6e7f8a9b0c1d;standin)`,
      "",
      `Cannot access gated repo for url https://huggingface.co/${model}/resolve/main/config.json.`,
      `Access to model ${model} is restricted. You must have access to it and be authenticated to access it. Please log in.`,
      "",
      "The above exception was the direct cause of the following exception:",
      "",
      `OSError: You are trying to access a gated repo.`,
      "Make sure to have access to it at https://huggingface.co/" + model + "."
    ]
  },
  "unsupported": {
    stage: "config",
    in: "api",
    lines: [
      "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
      "  Value error, Model architectures ['StandInForCausalLM'] are not supported for now. Supported architectures: dict_keys(['ArceeForCausalLM', 'LlamaForCausalLM', 'Qwen3ForCausalLM']) [type=value_error, input_value=ArgsKwargs(...), input_type=ArgsKwargs]",
      "    For further information visit https://errors.pydantic.dev/2.12/v/value_error"
    ]
  },
  "nccl": {
    stage: "engine",
    in: "core",
    lines: [
      "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)"
    ]
  },
  "gpu-busy": {
    stage: "load",
    in: "core",
    lines: [
      "ValueError: Free memory on device cuda:0 (3.61/79.11 GiB) on startup is less than desired GPU memory utilization (0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
    ]
  },
  "cuda-oom": {
    stage: "weights",
    in: "core",
    lines: [
      "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB. GPU 0 has a total capacity of 23.64 GiB of which 101.06 MiB is free. Including non-PyTorch memory, this process has 23.53 GiB memory in use. Of the allocated memory 23.05 GiB is allocated by PyTorch, and 38.62 MiB is reserved by PyTorch but unallocated."
    ]
  },
  "kv-cache": {
    stage: "profile",
    in: "core",
    lines: [
      `ValueError: To serve at least one request with the models's max seq len (${maxModelLen}), (16.0 GiB KV cache is needed, which is larger than the available KV cache memory (5.26 GiB). Based on the available memory, the estimated maximum model length is 43072. Try increasing \`gpu_memory_utilization\` or decreasing \`max_model_len\` when initializing the engine.`
    ]
  },
  // A cause that no table has.
  "unknown": {
    stage: "load",
    in: "core",
    lines: ["AssertionError: the stars are not right"]
  },
  // The port is taken; also what a really taken one ends with.
  "port-taken": {
    stage: "serve",
    in: "api",
    lines: ["OSError: [Errno 98] Address already in use"]
  }
}
if (switches.fail !== "" && causes[switches.fail] === undefined) {
  process.stderr.write(`standin: STANDIN_FAIL: one of ${Object.keys(causes).join(", ")}\n`)
  process.exit(2)
}

const trace = [
  "Traceback (most recent call last):",
  `  File "/usr/local/lib/python3.12/dist-packages/vllm/v1/engine/core.py", line 857, in run_engine_core`,
  "    engine_core = EngineCoreProc(*args, **kwargs)",
  "                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
]
const apiTrace = [
  "Traceback (most recent call last):",
  `  File "/usr/local/bin/vllm", line 10, in <module>`,
  "    sys.exit(main())",
  "             ^^^^^^"
]

const fail = (cause) => {
  if (cause.in === "core") {
    log(core, "ERROR", "core.py:866", "EngineCore failed to start.")
    for (const line of [...trace, ...cause.lines]) log(core, "ERROR", "core.py:866", line)
    for (const line of ["Process EngineCore:", ...trace, ...cause.lines]) bare(core, line)
  } else {
    for (const line of [...apiTrace, ...cause.lines]) bare(api, line)
  }
  if (switches.lastLine === "always" || switches.lastLine === "auto" && cause.in === "core") {
    for (const line of apiTrace) bare(api, line)
    bare(api, "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")
  }
  kit.end(1)
}

// ---- The start ----

const weights = path.join(cache, "hub", `models--${model.replaceAll("/", "--")}`, "blobs", "standin")

const download = async () => {
  if (switches.downloadBytes === 0 || fs.existsSync(weights)) return
  fs.mkdirSync(path.dirname(weights), { recursive: true })
  const file = fs.openSync(`${weights}.incomplete`, "a")
  const step = Buffer.alloc(256 * 1024)
  const since = Date.now()
  let done = fs.fstatSync(file).size
  while (done < switches.downloadBytes) {
    if (switches.downloadRate > 0) await sleep(step.length / switches.downloadRate * 1000)
    done += fs.writeSync(file, step.subarray(0, Math.min(step.length, switches.downloadBytes - done)))
  }
  fs.closeSync(file)
  fs.renameSync(`${weights}.incomplete`, weights)
  const took = ((Date.now() - since) / 1000).toFixed(6)
  info(core, "weight_utils.py:413", `Time spent downloading weights for ${model}: ${took} seconds`)
}

const said = {
  boot: () => info(api, "api_server.py:1977", "vLLM API server version 0.11.2"),
  config: () => {
    const args = Object.entries(options).map(([key, value]) => `'${key.replaceAll("-", "_")}': '${value}'`)
    info(api, "utils.py:253", `non-default args: {${args.join(", ")}}`)
    info(api, "model.py:631", "Resolved architecture: LlamaForCausalLM")
    info(api, "model.py:1745", `Using max model len ${maxModelLen}`)
    info(api, "scheduler.py:216", "Chunked prefill is enabled with max_num_batched_tokens=8192.")
  },
  engine: () => {
    info(core, "core.py:93", `Initializing a V1 LLM engine (v0.11.2) with config: model='${model}', dtype=torch.bfloat16`)
    if (switches.decoys) {
      log(core, "WARNING", "repo_utils.py:40", "401 Client Error: Unauthorized for url; CUDA out of memory is not why")
      log(core, "WARNING", "symm_mem.py:67", "Failed to infer device type, falling back: libcuda.so.1")
    }
    for (let rank = 0; rank < ranks; rank++) {
      const where = `rank ${rank} in world size ${ranks} is assigned as DP rank 0, PP rank 0, TP rank ${rank}, EP rank ${rank}`
      info(core, "parallel_state.py:1325", where)
    }
  },
  load: () => info(core, "gpu_model_runner.py:3255", `Starting to load model ${model}...`),
  download,
  weights: () => {
    bare(core, "Loading safetensors checkpoint shards:   0% Completed | 0/1 [00:00<?, ?it/s]")
    bare(core, "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00,  2.10it/s]")
    info(core, "default_loader.py:314", `Loading weights took ${seconds()} seconds`)
    info(core, "gpu_model_runner.py:3334", `Model loading took 14.9889 GiB memory and ${seconds()} seconds`)
  },
  compile: () => {
    if (options["enforce-eager"]) return
    info(core, "backends.py:631", "Using cache directory: /root/.cache/vllm/torch_compile_cache/standin/rank_0_0/backbone")
    info(core, "backends.py:647", `Dynamo bytecode transform time: ${seconds()} s`)
    info(core, "monitor.py:34", `torch.compile takes ${seconds()} s in total`)
  },
  profile: () => {
    info(core, "gpu_worker.py:359", "Available KV cache memory: 54.12 GiB")
    info(core, "kv_cache_utils.py:1229", "GPU KV cache size: 443,344 tokens")
    info(core, "kv_cache_utils.py:1234", `Maximum concurrency for ${maxModelLen} tokens per request: 3.38x`)
  },
  capture: () => {
    if (options["enforce-eager"]) return
    bare(core, "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|██████████| 51/51 [00:01<00:00, 30.12it/s]")
    info(core, "gpu_model_runner.py:4244", "Graph capturing finished in 2 secs, took 0.63 GiB")
  },
  init: () =>
    info(core, "core.py:250", `init engine (profile, create kv cache, warmup model) took ${seconds()} seconds`),
  serve: () => info(api, "api_server.py:1725", "Supported tasks: ['generate']")
}

const quiet = new Set((options["disable-access-log-for-endpoints"] ?? "").split(",").map((one) => one.trim()))

const logAccess = ({ req, res, path }) => {
  if (options["disable-uvicorn-access-log"] || quiet.has(path) || !res.headersSent) return
  const from = `${req.socket.remoteAddress}:${req.socket.remotePort}`
  const line = `"${req.method} ${req.url} HTTP/1.1" ${res.statusCode} ${http.STATUS_CODES[res.statusCode] ?? ""}`
  process.stdout.write(`${api} INFO:     ${from} - ${line}\n`)
}

// ---- The API ----

const errorOf = (code, message, type = code === 500 ? "InternalServerError" : "BadRequestError", param = null) => ({
  error: { message, type, param, code }
})
const refuse = (call, code, message, type, param) => kit.json(call.res, code, errorOf(code, message, type, param))

const keys = [...(options["api-key"] ?? []), ...(process.env["VLLM_API_KEY"] ? [process.env["VLLM_API_KEY"]] : [])]

const models = () => {
  const created = Math.floor(began / 1000)
  return {
    object: "list",
    data: served.map((id) => ({
      id,
      object: "model",
      created,
      owned_by: "vllm",
      root: model,
      parent: null,
      max_model_len: maxModelLen,
      permission: [{
        id: `modelperm-${createHash("sha256").update(id).digest("hex").slice(0, 32)}`,
        object: "model_permission",
        created,
        allow_create_engine: false,
        allow_sampling: true,
        allow_logprobs: true,
        allow_search_indices: false,
        allow_view: true,
        allow_fine_tuning: false,
        organization: "*",
        group: null,
        is_blocking: false
      }]
    }))
  }
}

const metrics = () => {
  const lines = []
  const share = (total, engine) => Math.floor(total / engines) + (engine < total % engines ? 1 : 0)
  const put = (name, type, help, value, more = "") => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (let engine = 0; engine < engines; engine++) {
      lines.push(`${name}{engine="${engine}",model_name="${served[0]}"${more}} ${value(engine)}`)
    }
  }
  const whole = (number) => (engine) => `${share(number, engine)}.0`
  put("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", whole(kit.running()))
  put("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", whole(kit.waiting()))
  // Names that begin like others.
  put(
    "vllm:num_requests_waiting_by_reason",
    "gauge",
    "Number of waiting requests by reason.",
    whole(kit.waiting()),
    ",reason=\"capacity\""
  )
  put("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", () =>
    Math.min(1, kit.running() / 100))
  put("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.", whole(kit.counters.promptTokens))
  put("vllm:prompt_tokens_created", "gauge", "Number of prefill tokens processed.", () => began / 1000)
  put("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", whole(kit.counters.tokens))
  put("vllm:generation_tokens_created", "gauge", "Number of generation tokens processed.", () => began / 1000)
  put(
    "vllm:request_success_total",
    "counter",
    "Count of successfully processed requests.",
    whole(kit.counters.finished),
    ",finished_reason=\"stop\""
  )
  return `${lines.join("\n")}\n`
}

const missing = (field, input) =>
  `[{'type': 'missing', 'loc': ('body', '${field}'), 'msg': 'Field required', 'input': ${JSON.stringify(input)}}]`

/** What vLLM says against a chat; undefined when nothing. */
const objection = (body) => {
  if (body === undefined) {
    return [400, "[{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error', 'input': {}}]", "Bad Request"]
  }
  if (!Array.isArray(body.messages)) return [400, missing("messages", body), "Bad Request"]
  if (body.model !== undefined && !served.includes(body.model)) {
    return [404, `The model \`${body.model}\` does not exist.`, "NotFoundError", "model"]
  }
  const limit = body.max_completion_tokens ?? body.max_tokens
  if (limit !== undefined && limit !== null && limit < 1) {
    return [400, `max_tokens must be at least 1, got ${limit}.`, "BadRequestError"]
  }
  if (typeof body.temperature === "number" && body.temperature < 0) {
    return [400, `temperature must be non-negative, got ${body.temperature}.`, "BadRequestError"]
  }
  if (body.stream_options && !body.stream) {
    return [400, "Value error, Stream options can only be defined when `stream=True`.", "Bad Request"]
  }
  if (body.messages.length === 0) return [400, "list index out of range", "BadRequestError"]
  const role = body.messages.find(({ role }) => !["system", "developer", "user", "assistant", "tool"].includes(role))?.role
  if (role !== undefined) return [400, `Unexpected message role: ${role}`, "BadRequestError"]
  const size = body.messages.reduce((sum, { content }) => sum + kit.countTokens(kit.textOf(content)), 0)
  if (size > maxModelLen) {
    return [
      400,
      `This model's maximum context length is ${maxModelLen} tokens. However, your request has ${size} input tokens. Please reduce the length of the input messages.`,
      "BadRequestError"
    ]
  }
  return undefined
}

const chat = async (call) => {
  const body = await kit.readJson(call)
  const against = objection(body)
  if (against !== undefined) return refuse(call, ...against)
  const fault = kit.takeFault()
  if (await kit.failsEarly(call, fault, switches.chatFaultStatus, switches.chatFaultBody, errorOf)) return
  if (!await kit.admit(call)) return
  const answer = kit.answerOf(body.messages, body.max_completion_tokens ?? body.max_tokens ?? undefined)
  const id = `chatcmpl-${call.id}`
  const created = Math.floor(Date.now() / 1000)
  const name = body.model ?? served[0]
  const head = `{"id":"${id}","object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(name)},`
  const numbers = { prompt_tokens: answer.promptTokens, prompt_tokens_details: null }
  const usage = () => {
    const made = call.tokens
    return { ...numbers, total_tokens: answer.promptTokens + made, completion_tokens: made }
  }
  const choice = (delta, reason) => {
    const end = reason === null ? "" : ",\"stop_reason\":null"
    return `${head}"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${reason}${end}}]}`
  }
  const cut = answer.finish === "length"
  await kit.chat(call, answer, fault, body.stream === true, {
    opening: () => choice(`{"role":"assistant","content":""}`, null),
    token: (text, _, last) => choice(`{"content":${JSON.stringify(text)}}`, last && cut && fault === "" ? `"length"` : null),
    finish: () => cut && fault === "" ? undefined : choice(`{"content":""}`, `"${answer.finish}"`),
    usage: () =>
      body.stream_options?.include_usage ? `${head}"choices":[],"usage":${JSON.stringify(usage())}}` : undefined,
    error: () =>
      JSON.stringify(
        errorOf(500, "EngineCore encountered an issue. See stack trace (above) for the root cause.")
      ),
    failure: () => errorOf(500, "EngineCore encountered an issue. See stack trace (above) for the root cause."),
    whole: (content, finish) => ({
      id,
      object: "chat.completion",
      created,
      model: name,
      choices: [{
        index: 0,
        message: {
          role: "assistant",
          content,
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          tool_calls: [],
          reasoning_content: null
        },
        logprobs: null,
        finish_reason: finish,
        stop_reason: null,
        token_ids: null
      }],
      service_tier: null,
      system_fingerprint: null,
      usage: usage(),
      prompt_logprobs: null,
      prompt_token_ids: null,
      kv_transfer_params: null
    })
  })
}

const embeddings = async (call) => {
  const body = await kit.readJson(call)
  if (body === undefined) return refuse(call, ...objection(body))
  const inputs = kit.inputsOf(body.input)
  if (inputs === undefined) return refuse(call, 400, missing("input", body), "Bad Request")
  if (body.model !== undefined && !served.includes(body.model)) {
    return refuse(call, 404, `The model \`${body.model}\` does not exist.`, "NotFoundError", "model")
  }
  const { embeddingsFault: fault, embeddingsFaultStatus: status } = switches
  if (await kit.failsEarly(call, fault, status, "", errorOf)) return
  if (!await kit.admit(call)) return
  await kit.pause(call, switches.firstTokenMs)
  if (call.gone) return
  const tokens = inputs.reduce((sum, text) => sum + kit.countTokens(text), 0)
  kit.json(call.res, 200, {
    id: `embd-${call.id}`,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model: body.model ?? served[0],
    data: kit.embed(inputs, body),
    usage: { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null }
  })
}

const plain = (call, text, type) => {
  call.res.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(text) })
  call.res.end(text)
}

const routes = {
  "GET /health": async (call) => {
    if (switches.health === "hang") return await kit.untilGone(call)
    call.res.writeHead(switches.health === "fail" ? switches.healthStatus : 200, { "content-length": 0 })
    call.res.end()
  },
  "GET /ping": (call) => routes["GET /health"](call),
  "GET /version": (call) => kit.json(call.res, 200, { version: "0.11.2" }),
  "GET /v1/models": (call) => kit.json(call.res, 200, models()),
  "GET /metrics": (call) => plain(call, metrics(), "text/plain; version=1.0.0; charset=utf-8"),
  "POST /v1/chat/completions": chat,
  "POST /v1/embeddings": embeddings
}

const handle = async (call) => {
  const { req, res, path } = call
  if (path.startsWith("/v1") && keys.length > 0) {
    const given = /^Bearer (.+)$/.exec(req.headers.authorization ?? "")?.[1]
    if (!keys.includes(given)) return kit.json(res, 401, { error: "Unauthorized" })
  }
  const route = routes[`${req.method} ${path}`]
  if (route !== undefined) return await route(call)
  const known = Object.keys(routes).some((key) => key.endsWith(` ${path}`))
  kit.json(res, known ? 405 : 404, { detail: known ? "Method Not Allowed" : "Not Found" })
}

const main = async () => {
  kit.countStart()
  kit.onTerm((moment) => {
    if (moment === "begin") {
      info(api, "launcher.py:110", "Shutting down FastAPI HTTP server.")
      bare(api, "INFO:     Shutting down")
    } else {
      bare(api, "INFO:     Waiting for application shutdown.")
      bare(api, "INFO:     Application shutdown complete.")
    }
  }, () => Number(options["shutdown-timeout"] ?? 0) * 1000)
  for (const stage of stages) {
    const cause = await kit.enter(stage, causes)
    if (cause !== undefined) return fail(cause)
    await said[stage]()
  }
  const host = options.host ?? "0.0.0.0"
  let port
  try {
    port = await kit.listen(Number(options.port ?? 8000), host, handle, logAccess)
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error
    return fail(causes["port-taken"])
  }
  info(api, "api_server.py:2052", `Starting vLLM API server 0 on http://${host}:${port}`)
  info(api, "launcher.py:38", "Available routes are:")
  for (const key of Object.keys(routes)) {
    const [method, path] = key.split(" ")
    info(api, "launcher.py:46", `Route: ${path}, Methods: ${method}`)
  }
  bare(api, `INFO:     Started server process [${process.pid}]`)
  bare(api, "INFO:     Waiting for application startup.")
  bare(api, "INFO:     Application startup complete.")
  kit.becomeReady()
}

await main()
