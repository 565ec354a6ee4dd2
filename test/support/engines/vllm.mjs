#!/usr/local/bin/node
/**
 * A stand-in for vLLM's OpenAI server, for tests: its command line, its log lines, its HTTP API and its ways to fail,
 * without a model. It runs with nothing but Node: `node vllm.mjs MODEL --port 8000`.
 *
 * The switches below are set by environment variables, and changed while it runs by `POST /standin` with JSON;
 * `GET /standin` tells the state and what was seen.
 */
import { createHash, randomUUID } from "node:crypto"
import * as fs from "node:fs"
import * as http from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

// ==== shared: the same in vllm.mjs and ollama.mjs, so that each is one file ====

/** Switches of both engines. Each is an environment variable too: `tokenMs` is STANDIN_TOKEN_MS. */
const commonSwitches = {
  // Start.
  startMs: 0, // before each stage
  hangAt: "", // a stage that does not go on, until this is changed
  fail: "", // a cause; the process ends with its log lines
  failAt: "", // a stage in place of the cause's own
  eatMib: 0, // memory to take; -1 is all there is
  eatAt: "ready",
  dieMs: -1, // after being ready (or after being told, when it is ready)
  dieCode: 1,
  dieSignal: "",
  badStarts: 0, // only the first starts hang, fail, eat and die; 0 is all of them
  stateDir: "", // where starts are counted; the engine's own store when empty
  // End.
  term: "cut", // what SIGTERM does
  termMs: 0, // how long ending takes
  // Health.
  health: "ok",
  healthStatus: 503,
  // Answers.
  parallel: 0, // requests that run at once, the others wait; 0 is no limit
  tokens: 16,
  tokenMs: 0, // between tokens; 0 is as fast as the socket takes them
  firstTokenMs: 0, // before the first
  tokenText: "{prompt}:{n} ", // also {hash}
  tokenBytes: 0, // tokens are filled up with dots
  burst: 8, // tokens at once with tokenMs 0
  embeddingSize: 8,
  keepAliveMs: 0, // idle connections are closed after; 0 is never
  // Failures of answers.
  chatFault: "",
  chatFaultStatus: 500,
  chatFaultBody: "", // the engine's own form of an error when empty
  chatFaultAfter: 3, // tokens; -1 is after the last one
  chatFaultCount: 0, // so many requests suffer it; 0 is all
  embeddingsFault: "",
  embeddingsFaultStatus: 500,
  // Form of event streams.
  sse: [],
  sseAt: 1, // the token that `huge`, `invalid-utf8` and `garbage` are about
  sseHugeBytes: 10 * 1024 * 1024,
  sseSplitBytes: 7,
  // A port on which /standin answers from the first moment; 0 is a free one, named on stderr; -1 is none.
  controlPort: -1
}

const commonChoices = {
  term: ["cut", "ignore"],
  health: ["ok", "fail", "hang"],
  // Before the headers: status, hang, reset. Within the stream: error, destroy, no-done, no-finish, stall.
  chatFault: ["", "status", "hang", "reset", "error", "destroy", "no-done", "no-finish", "stall"],
  embeddingsFault: ["", "status", "hang", "reset", "short", "reversed"],
  sse: [
    "crlf",
    "cr",
    "comments",
    "no-space",
    "multiline",
    "bom",
    "utf8",
    "split",
    "huge",
    "invalid-utf8",
    "garbage"
  ]
}

const toEnv = (name) => `STANDIN_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** What is between the switches, the control endpoint, the process's life and the answers. */
const createKit = ({ name, switches: own, choices: ownChoices, stages, store }) => {
  const defaults = { ...commonSwitches, ...own }
  const order = [...stages, "ready"]
  const choices = {
    ...commonChoices,
    ...ownChoices,
    hangAt: ["", ...stages],
    failAt: ["", ...stages],
    eatAt: order
  }

  /** A switch's value, of text or of JSON. */
  const read = (key, value) => {
    if (!(key in defaults)) throw new Error(`no switch is called ${key}`)
    const like = defaults[key]
    let parsed = value
    if (typeof value === "string" && typeof like !== "string") {
      if (Array.isArray(like)) parsed = value.split(",").map((part) => part.trim()).filter((part) => part !== "")
      else if (typeof like === "boolean") parsed = value === "1" || value === "true"
      else parsed = Number(value)
    }
    const fits = Array.isArray(like)
      ? Array.isArray(parsed) && parsed.every((part) => typeof part === "string")
      : typeof parsed === typeof like && !Number.isNaN(parsed)
    if (!fits) throw new Error(`${key} cannot be ${JSON.stringify(value)}`)
    const allowed = choices[key]
    const wrong = allowed && [parsed].flat().find((part) => !allowed.includes(part))
    if (wrong !== undefined) throw new Error(`${key} is one of ${allowed.join(", ")}, not ${wrong}`)
    return parsed
  }

  const switches = { ...defaults }
  for (const [variable, value] of Object.entries(process.env)) {
    if (!variable.startsWith("STANDIN_")) continue
    const key = Object.keys(defaults).find((key) => toEnv(key) === variable) ?? variable
    try {
      switches[key] = read(key, value)
    } catch (error) {
      process.stderr.write(`standin: ${variable}: ${error.message}\n`)
      process.exit(2)
    }
  }

  // ---- What was seen ----

  const noCounters = () => ({
    requests: {}, // by path
    finished: 0,
    failed: 0, // ended by a fault or by the end of the process
    cancelled: 0, // the client went away before the end
    cancellations: [], // the last 1000: { id, path, at, tokens }
    peakRunning: 0,
    promptTokens: 0,
    tokens: 0,
    bytes: 0, // of event streams, given to the socket
    paused: 0, // how often an answer waited for its reader
    longestPauseMs: 0,
    maxBufferedBytes: 0, // of one answer
    pulls: [], // { model, at, end, completed }
    last: null // { path, headers, body } of the last request with a body
  })
  let counters = noCounters()
  const pauses = new Set()
  let running = 0
  const waiting = []
  let stage = ""
  let port = 0
  let starts = 1
  let resolveReady
  const ready = new Promise((resolve) => {
    resolveReady = resolve
  })
  let readyAt = 0

  const longestPause = () => {
    const now = Date.now()
    return Math.max(counters.longestPauseMs, ...[...pauses].map(({ since }) => now - since))
  }
  const state = () => ({
    engine: name,
    pid: process.pid,
    argv: process.argv.slice(2),
    port,
    stage,
    ready: readyAt !== 0,
    readyAt,
    starts,
    running,
    waiting: waiting.length,
    pausedNow: pauses.size,
    switches,
    counters: { ...counters, longestPauseMs: longestPause() }
  })

  // ---- Life ----

  let watchers = []
  const changed = () => new Promise((resolve) => watchers.push(resolve))

  const sockets = new Set()
  const calls = new Set()

  const end = (code) => {
    process.exit(code)
  }

  const die = () => {
    if (switches.dieSignal === "") return end(switches.dieCode)
    process.kill(process.pid, switches.dieSignal)
    // The first process of a container is deaf to its own signals.
    setTimeout(() => end(128 + os.constants.signals[switches.dieSignal]), 100)
  }

  let dying
  const planDeath = () => {
    clearTimeout(dying)
    if (switches.dieMs >= 0 && readyAt !== 0) dying = setTimeout(die, switches.dieMs)
  }

  const eaten = []
  const eat = async () => {
    while (switches.eatMib < 0 || eaten.length * 16 < switches.eatMib) {
      eaten.push(Buffer.alloc(16 * 1024 * 1024, 1))
      await sleep(5)
    }
  }

  let eating
  const eatIfTold = () => {
    if (switches.eatMib === 0 || order.indexOf(stage) < order.indexOf(switches.eatAt)) return eating
    eating ??= eat().finally(() => {
      eating = undefined
    })
    return eating
  }

  const countStart = () => {
    if (switches.badStarts <= 0) return
    const folder = switches.stateDir === "" ? store : switches.stateDir
    const file = path.join(folder, "standin-starts")
    fs.mkdirSync(folder, { recursive: true })
    starts = fs.existsSync(file) ? Number(fs.readFileSync(file, "utf8")) + 1 : 1
    fs.writeFileSync(file, String(starts))
    if (starts <= switches.badStarts) return
    for (const key of ["fail", "hangAt", "eatMib", "dieMs"]) switches[key] = defaults[key]
  }

  /** Comes to a stage: answers with the cause to fail of, if so. */
  const enter = async (next, causes) => {
    stage = next
    await eatIfTold()
    if (switches.startMs > 0) await sleep(switches.startMs)
    while (switches.hangAt === next) await changed()
    const cause = causes[switches.fail]
    return cause !== undefined && (switches.failAt === "" ? cause.stage : switches.failAt) === next ? cause : undefined
  }

  const becomeReady = () => {
    stage = "ready"
    readyAt = Date.now()
    resolveReady()
    planDeath()
    void eatIfTold()
  }

  /** Ends as a signal asks: `drainMs` for requests to finish, then all connections are cut. */
  const onTerm = (say, drainMs = () => 0) => {
    let ending = false
    const handler = async () => {
      if (ending || switches.term === "ignore") return
      ending = true
      say("begin")
      server?.close()
      const until = Date.now() + drainMs()
      while (running > 0 && Date.now() < until) await sleep(10)
      for (const call of calls) call.ours = true
      for (const socket of sockets) socket.destroy()
      await sleep(switches.termMs)
      say("end")
      end(0)
    }
    process.on("SIGTERM", handler)
    process.on("SIGINT", handler)
  }

  // ---- HTTP ----

  const json = (res, status, body, headers = {}) => {
    const text = typeof body === "string" ? body : JSON.stringify(body)
    res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text), ...headers })
    res.end(text)
  }

  const readBody = async (req) => {
    const parts = []
    for await (const part of req) parts.push(part)
    return Buffer.concat(parts)
  }

  const control = async (req, res) => {
    if (req.method !== "POST") return json(res, 200, state())
    try {
      const { reset, ...wanted } = JSON.parse((await readBody(req)).toString())
      const values = Object.entries(wanted).map(([key, value]) => [key, read(key, value)])
      if (reset === true) counters = noCounters()
      for (const [key, value] of values) switches[key] = value
      if ("dieMs" in wanted) planDeath()
      void eatIfTold()
      const woken = watchers
      watchers = []
      for (const wake of woken) wake()
      json(res, 200, state())
    } catch (error) {
      json(res, 400, { error: error.message })
    }
  }

  const isControl = (req) => req.url.split("?")[0] === "/standin"

  if (switches.controlPort >= 0) {
    const controller = http.createServer((req, res) => isControl(req) ? control(req, res) : json(res, 404, {}))
    controller.listen(switches.controlPort, "0.0.0.0", () => {
      process.stderr.write(`standin: control on port ${controller.address().port}\n`)
    })
  }

  let server
  /** Serves requests with a handler of calls. */
  const listen = (wanted, host, handle, log) =>
    new Promise((resolve, reject) => {
      server = http.createServer({ keepAliveTimeout: switches.keepAliveMs, requestTimeout: 0 }, (req, res) => {
        if (isControl(req)) return control(req, res)
        const call = {
          id: randomUUID().replaceAll("-", ""),
          path: req.url.split("?")[0],
          req,
          res,
          tokens: 0,
          gone: false,
          ours: false,
          leaving: [],
          after: []
        }
        counters.requests[call.path] = (counters.requests[call.path] ?? 0) + 1
        calls.add(call)
        req.on("error", () => {})
        res.on("error", () => {})
        res.once("close", () => {
          calls.delete(call)
          call.gone = true
          if (!res.writableFinished) {
            if (call.ours) counters.failed++
            else {
              counters.cancelled++
              counters.cancellations.push({ id: call.id, path: call.path, at: Date.now(), tokens: call.tokens })
              if (counters.cancellations.length > 1000) counters.cancellations.shift()
            }
          } else if (call.ours || res.statusCode >= 400) counters.failed++
          else counters.finished++
          for (const leave of [...call.leaving]) leave()
          for (const after of call.after) after()
          log(call)
        })
        Promise.resolve(handle(call)).catch((error) => {
          // The client left before its request was whole.
          if (!req.complete) return
          process.stderr.write(`standin: ${error.stack}\n`)
          destroy(call)
        })
      })
      server.on("connection", (socket) => {
        socket.setNoDelay(true)
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      server.on("error", reject)
      server.listen({ port: wanted, host, backlog: 2048 }, () => {
        port = server.address().port
        resolve(port)
      })
    })

  /** Breaks the connection. */
  const destroy = (call) => {
    call.ours = true
    call.res.socket?.destroy()
  }

  /** Resolves at the latest when the client is gone. */
  const untilGone = (call, promise) => {
    if (call.gone) return Promise.resolve()
    let leave
    const left = new Promise((resolve) => {
      leave = resolve
      call.leaving.push(leave)
    })
    return Promise.race([promise ?? new Promise(() => {}), left]).finally(() => {
      const at = call.leaving.indexOf(leave)
      if (at >= 0) call.leaving.splice(at, 1)
    })
  }

  const pause = (call, ms) => {
    if (ms <= 0 || call.gone) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        const at = call.leaving.indexOf(done)
        if (at >= 0) call.leaving.splice(at, 1)
        resolve()
      }
      const timer = setTimeout(done, ms)
      call.leaving.push(done)
    })
  }

  const drained = async (call) => {
    if (!call.res.writableNeedDrain) return
    counters.paused++
    counters.maxBufferedBytes = Math.max(counters.maxBufferedBytes, call.res.writableLength)
    const begin = { since: Date.now() }
    pauses.add(begin)
    let resume
    await untilGone(
      call,
      new Promise((resolve) => {
        resume = resolve
        call.res.once("drain", resolve)
      })
    )
    call.res.off("drain", resume)
    pauses.delete(begin)
    counters.longestPauseMs = Math.max(counters.longestPauseMs, Date.now() - begin.since)
  }

  const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

  /** The body as JSON; undefined when it is none. */
  const readJson = async (call) => {
    const bytes = await readBody(call.req)
    const text = bytes.toString()
    counters.last = { path: call.path, headers: call.req.headers, body: text.length > 65_536 ? null : text }
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  }

  /** Waits for a place; false when even the queue is full, or the client gone. */
  const admit = async (call, queue = Infinity) => {
    if (switches.parallel > 0 && running >= switches.parallel) {
      if (waiting.length >= queue) return false
      let turn
      const mine = new Promise((resolve) => {
        turn = resolve
        waiting.push(turn)
      })
      await untilGone(call, mine)
      if (call.gone) {
        const at = waiting.indexOf(turn)
        if (at >= 0) waiting.splice(at, 1)
        else leave()
        return false
      }
    } else {
      if (call.gone) return false
      running++
    }
    counters.peakRunning = Math.max(counters.peakRunning, running)
    call.after.push(leave)
    return true
  }
  // A place goes from one to the next without being free in between.
  const leave = () => {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }

  // ---- Answers ----

  const textOf = (content) =>
    typeof content === "string"
      ? content
      : Array.isArray(content)
      ? content.map((part) => part?.text ?? "").join("")
      : ""

  const countTokens = (text) => Math.max(1, Math.ceil(text.length / 4))

  /** What a request is to get. */
  const answerOf = (messages, limit) => {
    const asked = textOf(messages.findLast((message) => message?.role === "user")?.content)
    const values = {
      prompt: asked.replace(/\s+/g, "").slice(0, 40),
      hash: createHash("sha256").update(asked).digest("hex").slice(0, 8)
    }
    const total = limit === undefined ? switches.tokens : Math.min(limit, switches.tokens)
    const utf8 = switches.sse.includes("utf8") ? "é日🙂 " : ""
    const [before, after = ""] = switches.tokenText
      .replace(/\{(prompt|hash)\}/g, (_, key) => values[key])
      .split("{n}", 2)
    const promptTokens = messages.reduce((sum, message) => sum + countTokens(textOf(message?.content)), 0)
    counters.promptTokens += promptTokens
    return {
      promptTokens,
      total,
      finish: total < switches.tokens ? "length" : "stop",
      token: (n) => {
        const text = `${before}${switches.tokenText.includes("{n}") ? n : ""}${after}${utf8}`
        return text.padEnd(switches.tokenBytes, ".")
      }
    }
  }

  let faulted = 0
  let faultedBy = ""
  /** The fault for the next chat; counted. */
  const takeFault = () => {
    if (switches.chatFault !== faultedBy) faulted = 0
    faultedBy = switches.chatFault
    if (switches.chatFault === "" || switches.chatFaultCount > 0 && faulted >= switches.chatFaultCount) return ""
    faulted++
    return switches.chatFault
  }

  /** Faults before the headers; true when the request is done with. */
  const failsEarly = async (call, fault, status, body, errorOf) => {
    if (fault === "status") {
      call.ours = true
      json(call.res, status, body === "" ? errorOf(status, "a failure that the test asked for") : body)
      return true
    }
    if (fault === "hang") {
      await untilGone(call)
      return true
    }
    if (fault === "reset") {
      destroy(call)
      return true
    }
    return false
  }

  /**
   * Makes the tokens, each when its time has come, and gives them to `emit`, whose false makes it wait for the socket.
   * Answers with "end", "gone", or "fault" when the fault's moment has come.
   */
  const produce = async (call, answer, fault, emit) => {
    const moment = switches.chatFaultAfter
    await pause(call, switches.firstTokenMs)
    let due = performance.now()
    for (let n = 0; n < answer.total; n++) {
      if (fault !== "" && n === moment) return "fault"
      if (switches.tokenMs > 0) {
        if (n > 0) due += switches.tokenMs
        await pause(call, due - performance.now())
      } else if (n % switches.burst === 0) {
        await nextTurn()
      }
      if (call.gone) return "gone"
      counters.tokens++
      call.tokens++
      const flows = await emit(answer.token(n), n, n === answer.total - 1)
      if (flows === false) await drained(call)
    }
    if (call.gone) return "gone"
    return fault === "" ? "end" : "fault"
  }

  /** Writes server-sent events in the form that the switches ask for. */
  const eventStream = (call) => {
    const { res } = call
    const form = new Set(switches.sse)
    const at = switches.sseAt
    const data = form.has("no-space") ? "data:" : "data: "
    const plain = form.size === 0
    let first = true

    const pieces = (bytes) => {
      const found = []
      let begin = 0
      for (let index = 1; index < bytes.length; index++) {
        const within = form.has("utf8") && (bytes[index] & 0xc0) === 0x80
        if (within || form.has("split") && index - begin >= switches.sseSplitBytes) {
          found.push(bytes.subarray(begin, index))
          begin = index
        }
      }
      found.push(bytes.subarray(begin))
      return found
    }

    /** Of an event's text; false when the socket is full. */
    const write = (bytes) => {
      counters.bytes += bytes.length
      return res.write(bytes)
    }

    const event = (text, n) => {
      if (plain) return write(`data: ${text}\n\n`)
      let lines = form.has("multiline") && text.startsWith("{")
        ? JSON.stringify(JSON.parse(text), null, 1).split("\n")
        : [text]
      if (n === at && form.has("huge")) {
        lines = [text.replace(/"content":"/, `"content":"${"x".repeat(switches.sseHugeBytes)}`)]
      }
      let whole = `${lines.map((line) => `${data}${line}`).join("\n")}\n\n`
      if (form.has("comments")) whole = `: a comment\nevent: message\nid: ${n ?? 0}\n${whole}:\n\n`
      if (n === at && form.has("garbage")) whole += `${data}{not json\n\n`
      if (first && form.has("bom")) whole = `\ufeff${whole}`
      first = false
      if (form.has("crlf")) whole = whole.replaceAll("\n", "\r\n")
      else if (form.has("cr")) whole = whole.replaceAll("\n", "\r")
      let bytes = Buffer.from(whole)
      if (n === at && form.has("invalid-utf8")) {
        const key = "\"content\":"
        const place = bytes.indexOf("\"", bytes.indexOf(key) + key.length) + 1
        bytes = Buffer.concat([bytes.subarray(0, place), Buffer.from([0xff, 0xc3, 0x28]), bytes.subarray(place)])
      }
      if (!form.has("split") && !form.has("utf8")) return write(bytes)
      return (async () => {
        let flows = true
        for (const piece of pieces(bytes)) {
          if (call.gone) return true
          flows = write(piece)
          await nextTurn()
        }
        return flows
      })()
    }
    return { event }
  }

  /**
   * A chat's whole answer, streaming or not, with the faults. `forms` makes the engine's JSON texts:
   * `token(text, n, last)`, `finish()` or nothing, `usage()` or nothing, `error()` or nothing, and `whole(text, finish)`.
   */
  const chat = async (call, answer, fault, streaming, forms, headers = {}) => {
    const { res } = call
    if (!streaming) {
      let text = ""
      const outcome = await produce(call, answer, fault, (token) => {
        text += token
      })
      if (outcome === "gone") return
      if (outcome === "fault") {
        call.ours = true
        if (fault === "stall") return await untilGone(call)
        if (fault === "error") return json(res, 500, forms.failure())
        const whole = JSON.stringify(forms.whole(text, fault === "no-finish" ? null : answer.finish))
        if (fault === "no-finish") return json(res, 200, whole)
        res.writeHead(200, { "content-type": "application/json", ...headers })
        res.write(whole.slice(0, whole.length / 2))
        if (fault === "no-done") return res.end()
        await nextTurn()
        return destroy(call)
      }
      return json(res, 200, forms.whole(text, answer.finish), headers)
    }
    res.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", ...headers })
    res.flushHeaders()
    const { event } = eventStream(call)
    const opening = forms.opening?.()
    if (opening !== undefined) await event(opening)
    const outcome = await produce(call, answer, fault, (token, n, last) => event(forms.token(token, n, last), n))
    if (outcome === "gone") return
    if (outcome === "fault") {
      call.ours = true
      const atEnd = switches.chatFaultAfter < 0 || switches.chatFaultAfter >= answer.total
      if (fault === "stall") {
        call.ours = false
        return await untilGone(call)
      }
      if (fault === "destroy") {
        await nextTurn()
        return destroy(call)
      }
      if (fault === "error") {
        const error = forms.error?.()
        if (error === undefined) return res.end()
        await event(error)
        await event("[DONE]")
        return res.end()
      }
      if (fault === "no-finish") {
        await event("[DONE]")
        return res.end()
      }
      const finish = atEnd ? forms.finish?.() : undefined
      if (finish !== undefined) await event(finish)
      return res.end()
    }
    const finish = forms.finish?.()
    if (finish !== undefined) await event(finish)
    const usage = forms.usage?.()
    if (usage !== undefined) await event(usage)
    await event("[DONE]")
    res.end()
  }

  /** A vector that is the text's own. */
  const vector = (text, size) => {
    const digest = createHash("sha256").update(text).digest()
    return Array.from({ length: size }, (_, index) => Math.fround((digest[index % 32] - 127.5) / 127.5))
  }

  const inputsOf = (input) =>
    typeof input === "string" ? [input] : Array.isArray(input) && input.length > 0
      ? typeof input[0] === "number" ? [JSON.stringify(input)] : input.map((one) => typeof one === "string" ? one : JSON.stringify(one))
      : undefined

  /** The `data` of an answer to /v1/embeddings. */
  const embed = (inputs, body) => {
    const size = body.dimensions ?? switches.embeddingSize
    const data = inputs.map((text, index) => {
      const numbers = vector(text, size)
      const embedding = body.encoding_format === "base64"
        ? Buffer.from(new Float32Array(numbers).buffer).toString("base64")
        : numbers
      return { object: "embedding", index, embedding }
    })
    if (switches.embeddingsFault === "short") data.pop()
    if (switches.embeddingsFault === "reversed") data.reverse()
    return data
  }

  return {
    switches,
    get counters() {
      return counters
    },
    ready,
    running: () => running,
    waiting: () => waiting.length,
    countStart,
    enter,
    becomeReady,
    onTerm,
    end,
    json,
    listen,
    destroy,
    untilGone,
    pause,
    readJson,
    admit,
    textOf,
    countTokens,
    answerOf,
    takeFault,
    failsEarly,
    produce,
    drained,
    chat,
    inputsOf,
    embed,
    vector
  }
}

// ==== end of the shared part ====

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
