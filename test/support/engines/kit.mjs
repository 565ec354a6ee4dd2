/**
 * What the stand-ins for engines have in common: their switches, the control endpoint, the process's life, and answers in
 * OpenAI's form. Each stand-in adds its own command line, log lines, endpoints and ways to fail.
 */
import { createHash, randomUUID } from "node:crypto"
import * as fs from "node:fs"
import * as http from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

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
export const createKit = ({ name, switches: own, choices: ownChoices, stages, store }) => {
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
