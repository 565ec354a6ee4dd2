#!/usr/local/bin/node
/**
 * A stand-in for Ollama's server, for tests: its environment, its log lines, its HTTP API and its ways to fail, without
 * a model. It runs with nothing but Node: `node ollama.mjs serve`.
 *
 * Pulled models are kept in OLLAMA_MODELS (else ~/.ollama/models) as files of the right size without content.
 *
 * The switches below are set by environment variables, and changed while it runs by `POST /standin` with JSON;
 * `GET /standin` tells the state and what was seen.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { createKit } from "./kit.mjs"

const stages = ["boot", "listen", "discover"]

const store = process.env["OLLAMA_MODELS"] ?? path.join(os.homedir(), ".ollama/models")

const kit = createKit({
  name: "ollama",
  stages,
  store,
  switches: {
    keepAliveMs: 0,
    compute: "auto", // auto is cuda where there is /dev/nvidia0, else cpu
    vramPart: -1, // how much of a loaded model is on the GPU, 0 to 1; -1 is all with a GPU, else nothing
    models: [], // on disk from the beginning
    library: [], // all that can be pulled; empty is everything
    pullBytes: 64 * 1024 * 1024,
    pullRate: 0, // bytes a second; 0 is as fast as lines are written
    pullError: "max retries exceeded: Get \"https://dd20bb891979d25aebc8bec07b2b3bbc.r2.cloudflarestorage.com\": EOF",
    pullErrorAfter: -1, // bytes; -1 is never
    pullErrorCount: 0, // so many pulls suffer it; 0 is all
    pullStallAfter: -1,
    pullStallSilent: false, // without repeating the last line while stalled
    pullLineMs: 20,
    loadMs: 0, // a model into memory, at its first request
    failLoad: "",
    queue: Number(process.env["OLLAMA_MAX_QUEUE"] || 512)
  },
  choices: {
    compute: ["auto", "cpu", "cuda", "rocm", "vulkan"],
    failLoad: ["", "memory", "cuda-oom", "timeout", "crash"]
  }
})
const { switches } = kit
const version = "0.13.0"

const args = process.argv.slice(2)
if (args[0] === "--version" || args[0] === "-v") {
  process.stdout.write(`ollama version is ${version}\n`)
  process.exit(0)
}
if (args[0] !== "serve") {
  process.stderr.write(`Error: unknown command "${args[0] ?? ""}" for "ollama"\n`)
  process.exit(1)
}
if (switches.parallel === 0) switches.parallel = Number(process.env["OLLAMA_NUM_PARALLEL"] ?? 0)

// ---- The log ----

const log = (level, source, text, more = "") =>
  process.stderr.write(
    `time=${new Date().toISOString()} level=${level} source=${source} msg=${JSON.stringify(text)}${more}\n`
  )

const logAccess = ({ req, res, path }) => {
  if (!res.headersSent) return
  const at = new Date().toISOString().slice(0, 19).replaceAll("-", "/").replace("T", " - ")
  process.stdout.write(
    `[GIN] ${at} | ${res.statusCode} |     1.0ms | ${req.socket.remoteAddress ?? ""} | ${req.method}     "${path}"\n`
  )
}

/** `0.0.0.0:11434`, with and without scheme, host and port. */
const hostOf = (text) => {
  const match = /^(?:https?:\/\/)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?\/?$/.exec(text.trim())
  const host = (match?.[1] ?? "").replace(/^\[|\]$/g, "")
  return { host: host === "" ? "127.0.0.1" : host, port: Number(match?.[2] ?? 11_434) }
}
const { host, port: wanted } = hostOf(process.env["OLLAMA_HOST"] ?? "")

const causes = {
  "store-denied": {
    stage: "boot",
    line: `Error: could not create directory mkdir ${store}: permission denied`
  },
  "disk-full": {
    stage: "boot",
    line: `Error: mkdir ${store}/blobs: no space left on device`
  },
  "port-taken": {
    stage: "listen",
    line: `Error: listen tcp ${host}:${wanted}: bind: address already in use`
  },
  "panic": {
    stage: "discover",
    line: "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation]"
  }
}
if (switches.fail !== "" && causes[switches.fail] === undefined) {
  process.stderr.write(`standin: STANDIN_FAIL: one of ${Object.keys(causes).join(", ")}\n`)
  process.exit(2)
}

// ---- Models ----

/** `llama2` is `llama2:latest`. */
const fullName = (name) => /:[^/]*$/.test(name) ? name : `${name}:latest`

const manifestOf = (name) => {
  const [repository, tag] = fullName(name).split(/:(?=[^:]*$)/)
  const parts = repository.split("/")
  const whole = parts.length === 1
    ? ["registry.ollama.ai", "library", ...parts]
    : parts.length === 2
    ? ["registry.ollama.ai", ...parts]
    : parts
  return path.join(store, "manifests", ...whole, tag)
}
const blobOf = (digest) => path.join(store, "blobs", digest.replace(":", "-"))
const sha256 = (text) => createHash("sha256").update(text).digest("hex")

/** What a model is made of: one big file and small ones. */
const layersOf = (name, size) =>
  [["model", size], ["template", Math.min(1700, size)], ["params", 59]].map(([kind, size]) => ({
    mediaType: `application/vnd.ollama.image.${kind}`,
    digest: `sha256:${sha256(`${fullName(name)} ${kind} ${size}`)}`,
    size
  }))

const writeManifest = (name, layers) => {
  const file = manifestOf(name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, JSON.stringify({ schemaVersion: 2, layers }))
}

const readModel = (name) => {
  const file = manifestOf(name)
  try {
    const text = fs.readFileSync(file, "utf8")
    const { layers } = JSON.parse(text)
    return {
      name: fullName(name),
      model: fullName(name),
      modified_at: fs.statSync(file).mtime.toISOString(),
      size: layers.reduce((sum, layer) => sum + layer.size, 0),
      digest: sha256(text),
      details: {
        parent_model: "",
        format: "gguf",
        family: "llama",
        families: ["llama"],
        parameter_size: "7B",
        quantization_level: "Q4_0"
      }
    }
  } catch {
    return undefined
  }
}

const listModels = () => {
  const root = path.join(store, "manifests")
  if (!fs.existsSync(root)) return []
  return fs.readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .map((file) => file.replace(/^registry\.ollama\.ai\/(library\/)?/, "").replace(/\/([^/]*)$/, ":$1"))
    .map(readModel)
    .filter((model) => model !== undefined)
    .sort((a, b) => b.modified_at.localeCompare(a.modified_at))
}

// ---- Pulls ----

/** Downloads that run, by digest; all who want a file share its download. */
const downloads = new Map()

const startDownload = (layer) => {
  const file = blobOf(layer.digest)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  const partial = `${file}-partial`
  const descriptor = fs.openSync(partial, "a")
  const job = { completed: fs.fstatSync(descriptor).size, readers: 0, done: false, error: undefined }
  downloads.set(layer.digest, job)
  const big = layer.mediaType.endsWith(".model")
  const faulty = big && switches.pullErrorAfter >= 0
    && (switches.pullErrorCount === 0 || pullErrors < switches.pullErrorCount)
  const run = async () => {
    let last = Date.now()
    while (job.readers > 0) {
      const now = Date.now()
      const step = switches.pullRate === 0
        ? Math.max(1, Math.ceil(layer.size / 20))
        : (now - last) / 1000 * switches.pullRate
      last = now
      const limit = big && switches.pullStallAfter >= 0 ? Math.max(job.completed, switches.pullStallAfter) : Infinity
      const failing = faulty ? Math.max(job.completed, switches.pullErrorAfter) : Infinity
      job.completed = Math.floor(Math.min(layer.size, limit, failing, job.completed + step))
      fs.ftruncateSync(descriptor, job.completed)
      if (job.completed >= failing) {
        pullErrors++
        job.error = switches.pullError
        return
      }
      if (job.completed >= layer.size) {
        job.done = true
        fs.renameSync(partial, file)
        return
      }
      await sleep(switches.pullLineMs / 2)
    }
  }
  // Readers come first.
  job.running = sleep(0).then(run).finally(() => {
    fs.closeSync(descriptor)
    downloads.delete(layer.digest)
  })
  return job
}
let pullErrors = 0

const pull = async (call) => {
  const body = await kit.readJson(call)
  const name = body?.model ?? body?.name
  if (typeof name !== "string" || name === "") return kit.json(call.res, 400, { error: "invalid model name" })
  if (!/^[\w.:/-]+$/.test(name)) return kit.json(call.res, 400, { error: "invalid model name" })
  const record = { model: fullName(name), at: Date.now(), end: "running", completed: 0 }
  kit.counters.pulls.push(record)
  call.after.push(() => {
    if (record.end === "running") record.end = "cancelled"
  })
  const streaming = body.stream !== false
  const { res } = call
  let lastLine = ""
  const line = (value) => {
    lastLine = JSON.stringify(value)
    if (!streaming || call.gone) return
    if (!res.headersSent) res.writeHead(200, { "content-type": "application/x-ndjson" })
    if (!res.write(`${lastLine}\n`)) return kit.drained(call)
  }
  const failing = (error) => {
    record.end = "failed"
    if (!streaming) return kit.json(res, 500, { error })
    line({ error })
    res.end()
  }
  await line({ status: "pulling manifest" })
  const known = switches.library.length === 0 || switches.library.map(fullName).includes(fullName(name))
  if (!known) return failing("pull model manifest: file does not exist")
  const layers = layersOf(name, switches.pullBytes)
  for (const layer of layers) {
    const status = `pulling ${layer.digest.slice(7, 19)}`
    const whole = { status, digest: layer.digest, total: layer.size }
    if (!fs.existsSync(blobOf(layer.digest))) {
      const job = downloads.get(layer.digest) ?? startDownload(layer)
      job.readers++
      let told = -1
      while (!call.gone && !job.done && job.error === undefined) {
        if (job.completed !== told || !switches.pullStallSilent) {
          await line(job.completed > 0 ? { ...whole, completed: job.completed } : whole)
        }
        told = job.completed
        if (layer === layers[0]) record.completed = told
        await kit.pause(call, switches.pullLineMs)
      }
      job.readers--
      if (call.gone) return
      if (job.error !== undefined) return failing(job.error)
    }
    if (layer === layers[0]) record.completed = layer.size
    await line({ ...whole, completed: layer.size })
  }
  await line({ status: "verifying sha256 digest" })
  await line({ status: "writing manifest" })
  writeManifest(name, layers)
  record.end = "success"
  await line({ status: "success" })
  if (streaming) res.end()
  else kit.json(res, 200, { status: "success" })
}

// ---- Models in memory ----

const gib = 1024 ** 3
const compute = () =>
  switches.compute === "auto" ? fs.existsSync("/dev/nvidia0") ? "cuda" : "cpu" : switches.compute
const loaded = new Map()

/** Milliseconds of `5m`, `-1`, `300`. */
const durationOf = (value) => {
  if (typeof value === "number") return value < 0 ? Infinity : value * 1000
  const match = /^(-?\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value ?? "")
  if (match === null) return 300_000
  const amount = Number(match[1])
  return amount < 0 ? Infinity : amount * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? "s"]
}
const keepAlive = (body) => durationOf(body?.keep_alive ?? process.env["OLLAMA_KEEP_ALIVE"] ?? "5m")

const loadErrors = {
  "memory": "model requires more system memory (8.4 GiB) than is available (2.1 GiB)",
  "cuda-oom": "llama runner process has terminated: cudaMalloc failed: out of memory",
  "timeout": "timed out waiting for llama runner to start: context canceled",
  "crash": "llama runner process has terminated: signal: killed"
}

/** Brings a model into memory; answers with what went wrong. */
const load = async (model, keepMs) => {
  if (switches.failLoad !== "") {
    await sleep(switches.loadMs)
    log("ERROR", "sched.go:470", "error loading llama server", ` error=${JSON.stringify(loadErrors[switches.failLoad])}`)
    return loadErrors[switches.failLoad]
  }
  let entry = loaded.get(model.name)
  if (entry === undefined || entry.expires < Date.now()) {
    const since = Date.now()
    entry = { expires: Infinity, loading: undefined, part: 0 }
    loaded.set(model.name, entry)
    entry.loading = sleep(switches.loadMs).then(() => {
      entry.part = switches.vramPart >= 0 ? switches.vramPart : compute() === "cpu" ? 0 : 1
      const layers = Math.round(entry.part * 33)
      log("INFO", "ggml.go:494", `offloaded ${layers}/33 layers to GPU`)
      const took = ((Date.now() - since) / 1000).toFixed(2)
      log("INFO", "server.go:1289", `llama runner started in ${took} seconds`)
    })
  }
  await entry.loading
  entry.expires = Date.now() + keepMs
  if (keepMs === 0) loaded.delete(model.name)
  return undefined
}

const listLoaded = () =>
  [...loaded].filter(([, { expires }]) => expires >= Date.now()).flatMap(([name, { expires, part }]) => {
    const model = readModel(name)
    if (model === undefined) return []
    const { modified_at: _, ...rest } = model
    const at = Number.isFinite(expires) ? new Date(expires).toISOString() : "2318-01-01T00:00:00Z"
    return [{
      ...rest,
      expires_at: at,
      size_vram: Math.round(model.size * part),
      context_length: Number(process.env["OLLAMA_CONTEXT_LENGTH"] || 4096)
    }]
  })

// ---- Answers ----

const types = { 400: "invalid_request_error", 404: "not_found_error" }
/** As the OpenAI-compatible paths say it. */
const errorOf = (code, message) => ({ error: { message, type: types[code] ?? "api_error", param: null, code: null } })
/** As Ollama's own paths say it. */
const plainErrorOf = (_, message) => ({ error: message })

const busy = "server busy, please try again.  maximum pending requests exceeded"

/** What both kinds of path do before an answer: the model and a place for it; undefined when it was refused. */
const prepare = async (call, body, errorOf) => {
  if (body === undefined) {
    kit.json(call.res, 400, errorOf(400, "invalid character 'x' looking for beginning of value"))
    return undefined
  }
  if (typeof body.model !== "string" || body.model === "") {
    kit.json(call.res, 400, errorOf(400, "model is required"))
    return undefined
  }
  const model = readModel(body.model)
  if (model === undefined) {
    kit.json(call.res, 404, errorOf(404, `model '${body.model}' not found`))
    return undefined
  }
  if (!await kit.admit(call, switches.queue)) {
    if (!call.gone) kit.json(call.res, 503, errorOf(503, busy))
    return undefined
  }
  const wrong = await kit.untilGone(call, load(model, keepAlive(body)))
  if (wrong !== undefined) kit.json(call.res, 500, errorOf(500, wrong))
  return wrong === undefined && !call.gone ? model : undefined
}

const chat = async (call) => {
  const body = await kit.readJson(call)
  if (body !== undefined && (!Array.isArray(body.messages) || body.messages.length === 0)) {
    return kit.json(call.res, 400, errorOf(400, "[] is too short - 'messages'"))
  }
  const fault = kit.takeFault()
  if (await kit.failsEarly(call, fault, switches.chatFaultStatus, switches.chatFaultBody, errorOf)) return
  const model = await prepare(call, body, errorOf)
  if (model === undefined) return
  const answer = kit.answerOf(body.messages, body.max_completion_tokens ?? body.max_tokens ?? undefined)
  const id = `chatcmpl-${Math.floor(Math.random() * 999)}`
  const created = Math.floor(Date.now() / 1000)
  const print = "\"system_fingerprint\":\"fp_ollama\""
  const name = JSON.stringify(body.model)
  const head = `{"id":"${id}","object":"chat.completion.chunk","created":${created},"model":${name},${print},`
  const usage = () => ({
    prompt_tokens: answer.promptTokens,
    completion_tokens: call.tokens,
    total_tokens: answer.promptTokens + call.tokens
  })
  const choice = (content, reason) =>
    `${head}"choices":[{"index":0,"delta":{"role":"assistant","content":${content}},"finish_reason":${reason}}]}`
  await kit.chat(call, answer, fault, body.stream === true, {
    token: (text) => choice(JSON.stringify(text), null),
    finish: () => choice("\"\"", `"${answer.finish}"`),
    usage: () =>
      body.stream_options?.include_usage ? `${head}"choices":[],"usage":${JSON.stringify(usage())}}` : undefined,
    // A failure within a stream is lost.
    error: () => undefined,
    failure: () => errorOf(500, "an error was encountered while running the model: unexpected EOF"),
    whole: (content, finish) => ({
      id,
      object: "chat.completion",
      created,
      model: body.model,
      system_fingerprint: "fp_ollama",
      choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: finish }],
      usage: usage()
    })
  })
}

/** `/api/chat` and `/api/generate`. */
const native = (chatting) => async (call) => {
  const body = await kit.readJson(call)
  const model = await prepare(call, body, plainErrorOf)
  if (model === undefined) return
  const { res } = call
  const base = () => ({ model: body.model, created_at: new Date().toISOString() })
  const content = (text) => chatting ? { message: { role: "assistant", content: text } } : { response: text }
  const messages = chatting ? body.messages ?? [] : body.prompt ? [{ role: "user", content: body.prompt }] : []
  if (messages.length === 0) return kit.json(res, 200, { ...base(), ...content(""), done: true, done_reason: "load" })
  const answer = kit.answerOf(messages, body.options?.num_predict)
  const streaming = body.stream !== false
  if (streaming) res.writeHead(200, { "content-type": "application/x-ndjson" })
  let whole = ""
  const outcome = await kit.produce(call, answer, "", (text) => {
    whole += text
    return streaming ? res.write(`${JSON.stringify({ ...base(), ...content(text), done: false })}\n`) : true
  })
  if (outcome === "gone") return
  const last = {
    ...base(),
    ...content(streaming ? "" : whole),
    done: true,
    done_reason: answer.finish,
    total_duration: 1_000_000,
    load_duration: 1000,
    prompt_eval_count: answer.promptTokens,
    prompt_eval_duration: 1000,
    eval_count: call.tokens,
    eval_duration: 1000
  }
  if (streaming) res.end(`${JSON.stringify(last)}\n`)
  else kit.json(res, 200, last)
}

const embeddings = async (call) => {
  const body = await kit.readJson(call)
  const inputs = kit.inputsOf(body?.input)
  if (body !== undefined && inputs === undefined) return kit.json(call.res, 400, errorOf(400, "invalid input"))
  const { embeddingsFault: fault, embeddingsFaultStatus: status } = switches
  if (await kit.failsEarly(call, fault, status, "", errorOf)) return
  if (await prepare(call, body, errorOf) === undefined) return
  await kit.pause(call, switches.firstTokenMs)
  if (call.gone) return
  const tokens = inputs.reduce((sum, text) => sum + kit.countTokens(text), 0)
  kit.json(call.res, 200, {
    object: "list",
    data: kit.embed(inputs, body),
    model: body.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens }
  })
}

const embed = async (call) => {
  const body = await kit.readJson(call)
  if (await prepare(call, body, plainErrorOf) === undefined) return
  const inputs = kit.inputsOf(body.input) ?? []
  const vectors = inputs.map((text) => kit.vector(text, switches.embeddingSize))
  kit.json(call.res, 200, { model: body.model, embeddings: vectors, prompt_eval_count: inputs.length })
}

const show = async (call) => {
  const body = await kit.readJson(call)
  const name = body?.model ?? body?.name ?? ""
  const model = readModel(name)
  if (model === undefined) return kit.json(call.res, 404, { error: `model '${name}' not found` })
  kit.json(call.res, 200, {
    modelfile: `FROM ${model.name}\n`,
    parameters: "stop \"<|eot_id|>\"",
    template: "{{ .Prompt }}",
    details: model.details,
    model_info: { "general.architecture": "llama", "general.parameter_count": 7_000_000_000, "llama.context_length": 4096 },
    capabilities: /embed/.test(model.name) ? ["embedding"] : ["completion"],
    modified_at: model.modified_at
  })
}

const remove = async (call) => {
  const body = await kit.readJson(call)
  const name = body?.model ?? body?.name ?? ""
  if (readModel(name) === undefined) return kit.json(call.res, 404, { error: `model '${name}' not found` })
  fs.rmSync(manifestOf(name))
  loaded.delete(fullName(name))
  call.res.writeHead(200, { "content-length": 0 }).end()
}

const healthy = (answer) => async (call) => {
  if (switches.health === "hang") return await kit.untilGone(call)
  if (switches.health === "fail") return kit.json(call.res, switches.healthStatus, { error: "unhealthy" })
  return answer(call)
}

const running = healthy((call) => {
  call.res.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": 17 })
  call.res.end("Ollama is running")
})

const routes = {
  "GET /": running,
  "HEAD /": running,
  "GET /api/version": healthy((call) => kit.json(call.res, 200, { version })),
  "GET /api/tags": (call) => kit.json(call.res, 200, { models: listModels() }),
  "GET /api/ps": (call) => kit.json(call.res, 200, { models: listLoaded() }),
  "POST /api/pull": pull,
  "POST /api/show": show,
  "DELETE /api/delete": remove,
  "POST /api/chat": native(true),
  "POST /api/generate": native(false),
  "POST /api/embed": embed,
  "GET /v1/models": (call) =>
    kit.json(call.res, 200, {
      object: "list",
      data: listModels().map(({ name, modified_at: at }) => ({
        id: name,
        object: "model",
        created: Math.floor(Date.parse(at) / 1000),
        owned_by: "library"
      }))
    }),
  "POST /v1/chat/completions": chat,
  "POST /v1/embeddings": embeddings
}

const handle = async (call) => {
  // It listens before it answers.
  await kit.ready
  const route = routes[`${call.req.method} ${call.path}`]
  if (route !== undefined) return await route(call)
  const known = Object.keys(routes).some((key) => key.endsWith(` ${call.path}`))
  call.res.writeHead(known ? 405 : 404, { "content-type": "text/plain" })
  call.res.end(known ? "405 method not allowed" : "404 page not found")
}

const discovered = () => {
  const total = (os.totalmem() / gib).toFixed(1)
  const free = (os.freemem() / gib).toFixed(1)
  const library = compute()
  log(
    "INFO",
    "types.go:42",
    "inference compute",
    library === "cpu"
      ? ` id=cpu library=cpu compute="" name=cpu description=cpu libdirs=ollama driver="" pci_id="" type="" total="${total} GiB" available="${free} GiB"`
      : ` id=GPU-5d0b6f8e-5b1c-4b1e-9b1e-0f0e0d0c0b0a filter_id="" library=${library} compute=9.0 name=${library.toUpperCase()}0 description="NVIDIA H100 80GB HBM3" libdirs=ollama,cuda_v13 driver=13.0 pci_id=0000:04:00.0 type=discrete total="79.6 GiB" available="79.1 GiB"`
  )
}

const start = {
  boot: () => {
    log("INFO", "routes.go:1511", "server config", ` env="map[OLLAMA_HOST:http://${host}:${wanted} OLLAMA_MODELS:${store}]"`)
    fs.mkdirSync(path.join(store, "blobs"), { recursive: true })
    for (const name of switches.models) {
      if (readModel(name) !== undefined) continue
      const layers = layersOf(name, switches.pullBytes)
      for (const { digest, size } of layers) {
        fs.writeFileSync(blobOf(digest), "")
        fs.truncateSync(blobOf(digest), size)
      }
      writeManifest(name, layers)
    }
    log("INFO", "images.go:522", `total blobs: ${fs.readdirSync(path.join(store, "blobs")).length}`)
  },
  listen: async () => {
    try {
      const port = await kit.listen(wanted, host, handle, logAccess)
      log("INFO", "routes.go:1564", `Listening on ${host === "0.0.0.0" ? "[::]" : host}:${port} (version ${version})`)
    } catch (error) {
      if (error.code !== "EADDRINUSE") throw error
      fail(causes["port-taken"])
    }
  },
  discover: () => {
    log("INFO", "runner.go:67", "discovering available GPUs...")
    discovered()
  }
}

const fail = (cause) => {
  process.stderr.write(`${cause.line}\n`)
  kit.end(1)
}

const main = async () => {
  kit.countStart()
  kit.onTerm(() => {})
  for (const stage of stages) {
    const cause = await kit.enter(stage, causes)
    if (cause !== undefined) return fail(cause)
    await start[stage]()
  }
  kit.becomeReady()
}

await main()
