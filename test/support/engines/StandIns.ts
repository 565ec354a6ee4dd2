/**
 * Stand-ins for the inference engines: programs that speak vLLM's and Ollama's API, and fail as these do, when told.
 *
 * One runs as a child process of the test ({@link scoped}, {@link start}) or in a container ({@link useImages}).
 * Each {@link Switches | switch} is an environment variable (`tokenMs` is `STANDIN_TOKEN_MS`, see {@link environment})
 * and can be changed while the stand-in runs, through its {@link Control}.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs/promises"
import * as http from "node:http"
import * as net from "node:net"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import type * as Scope from "effect/Scope"
import type { TestEngine } from "../DockerTest.js"
import * as images from "../images.js"
import type { TarEntry } from "../tar.js"

export type Kind = "vllm" | "ollama"

/** Where vLLM's start can hang or fail; `fail` takes the cause's own stage unless `failAt` names another. */
export type VllmStage =
  | "boot"
  | "config"
  | "engine"
  | "load"
  | "download"
  | "weights"
  | "compile"
  | "profile"
  | "capture"
  | "init"
  | "serve"
export type OllamaStage = "boot" | "listen" | "discover"

/** Why a start fails, with the real engine's last lines and exit code 1. */
export type VllmCause =
  | "gpu-busy"
  | "kv-cache"
  | "cuda-oom"
  | "no-gpu"
  | "no-libcuda"
  | "gated"
  | "unsupported"
  | "nccl"
  | "port-taken"
  | "unknown"
export type OllamaCause = "store-denied" | "disk-full" | "port-taken" | "panic"

/** Forms of event streams that a reader must cope with, and three that no reader can make sense of. */
export type SseForm =
  | "crlf"
  | "cr"
  | "comments"
  | "no-space"
  | "multiline"
  | "bom"
  /** Characters of several bytes, and writes that end within them. */
  | "utf8"
  /** Each write has `sseSplitBytes` bytes. */
  | "split"
  /** The token `sseAt` has `sseHugeBytes` more. */
  | "huge"
  /** The token `sseAt` begins with bytes that are not UTF-8. */
  | "invalid-utf8"
  /** After the token `sseAt` comes data that is not JSON. */
  | "garbage"

export interface Switches {
  /** Before each stage of the start. */
  readonly startMs: number
  /** A stage that is not gone through, without another log line, until the switch is changed. */
  readonly hangAt: VllmStage | OllamaStage | ""
  readonly fail: VllmCause | OllamaCause | ""
  readonly failAt: VllmStage | OllamaStage | ""
  /** Memory to take, until the kernel objects; -1 is all there is. */
  readonly eatMib: number
  /** The stage that begins with that, and goes on after it. */
  readonly eatAt: VllmStage | OllamaStage | "ready"
  /** Dies so long after it is ready, or after being told when it is; -1 is never. */
  readonly dieMs: number
  readonly dieCode: number
  /** In place of the exit code. */
  readonly dieSignal: NodeJS.Signals | ""
  /** Only so many starts fail, hang, eat and die, as counted in `stateDir`; 0 is all. */
  readonly badStarts: number
  /** The engine's own store when empty: a volume keeps the count over containers. */
  readonly stateDir: string
  /** What SIGTERM does: cut requests and end, as the engines do, or nothing. */
  readonly term: "cut" | "ignore"
  /** How long the end takes. */
  readonly termMs: number
  /** Of `/health` with vLLM, of `/api/version` with Ollama. */
  readonly health: "ok" | "fail" | "hang"
  readonly healthStatus: number
  /** Requests that run at once, the others wait; 0 is no limit. `--max-num-seqs` and `OLLAMA_NUM_PARALLEL` set it. */
  readonly parallel: number
  /** Tokens of an answer, unless the request wants fewer. */
  readonly tokens: number
  /** Between tokens; 0 is as fast as the socket takes them. */
  readonly tokenMs: number
  readonly firstTokenMs: number
  /** `{prompt}` is the last user's message without spaces, at most 40 characters, `{hash}` 8 digits of its SHA-256. */
  readonly tokenText: string
  /** Shorter tokens are filled up with dots. */
  readonly tokenBytes: number
  /** Tokens in one go with `tokenMs` 0. */
  readonly burst: number
  readonly embeddingSize: number
  /** Idle connections are closed after; 0 is never. */
  readonly keepAliveMs: number
  /**
   * Before the headers: `status` (with `chatFaultStatus` and `chatFaultBody`), `hang`, `reset`. Within the answer, after
   * `chatFaultAfter` tokens, -1 for all of them: `error` (each engine's own way), `destroy` (the socket), `no-done` (ends
   * properly, without finish_reason and `[DONE]`; after all tokens with finish_reason), `no-finish` (`[DONE]` without
   * finish_reason), `stall`.
   */
  readonly chatFault: "" | "status" | "hang" | "reset" | "error" | "destroy" | "no-done" | "no-finish" | "stall"
  readonly chatFaultStatus: number
  readonly chatFaultBody: string
  readonly chatFaultAfter: number
  /** So many requests suffer it; 0 is all. */
  readonly chatFaultCount: number
  readonly embeddingsFault: "" | "status" | "hang" | "reset" | "short" | "reversed"
  readonly embeddingsFaultStatus: number
  readonly sse: ReadonlyArray<SseForm>
  readonly sseAt: number
  readonly sseHugeBytes: number
  readonly sseSplitBytes: number
  /** A port where `/standin` answers from the first moment; 0 is a free one, named on stderr; -1 is none. */
  readonly controlPort: number

  // ---- vLLM's own ----

  /** Without `--max-model-len`. */
  readonly maxModelLen: number
  /** Of weights that are put into HF_HOME, unless they are there. */
  readonly downloadBytes: number
  /** Bytes a second; 0 is all at once. */
  readonly downloadRate: number
  /** Whether a failed start ends with `Engine core initialization failed`; `auto` is as the cause does in reality. */
  readonly lastLine: "auto" | "always" | "never"
  /** Log warnings with words of causes. */
  readonly decoys: boolean

  // ---- Ollama's own ----

  /** `auto` is `cuda` where there is /dev/nvidia0, else `cpu`. */
  readonly compute: "auto" | "cpu" | "cuda" | "rocm" | "vulkan"
  /** The part of a loaded model that is on the GPU, 0 to 1; -1 is all of it with a GPU, else nothing. */
  readonly vramPart: number
  /** On disk from the beginning. */
  readonly models: ReadonlyArray<string>
  /** What can be pulled; empty is everything. */
  readonly library: ReadonlyArray<string>
  /** The size of a model. */
  readonly pullBytes: number
  /** Bytes a second; 0 is 20 steps. */
  readonly pullRate: number
  readonly pullError: string
  /** Bytes after which a pull fails; -1 is never. */
  readonly pullErrorAfter: number
  /** So many pulls fail; 0 is all. */
  readonly pullErrorCount: number
  /** Bytes after which pulls go no further; -1 is never. */
  readonly pullStallAfter: number
  /** Without repeating the last line. */
  readonly pullStallSilent: boolean
  readonly pullLineMs: number
  /** How long the first request for a model waits for it. */
  readonly loadMs: number
  readonly failLoad: "" | "memory" | "cuda-oom" | "timeout" | "crash"
  /** Requests that wait; more get 503. `OLLAMA_MAX_QUEUE` sets it. */
  readonly queue: number
}

export interface Counters {
  /** By path. */
  readonly requests: Readonly<Record<string, number>>
  readonly finished: number
  /** Ended with an error, by a fault, or with the process. */
  readonly failed: number
  /** The client went away before the end. */
  readonly cancelled: number
  /** The last 1000; `at` is in milliseconds since 1970. */
  readonly cancellations: ReadonlyArray<
    { readonly id: string; readonly path: string; readonly at: number; readonly tokens: number }
  >
  readonly peakRunning: number
  readonly promptTokens: number
  /** Produced. */
  readonly tokens: number
  /** Of event streams, given to the socket. */
  readonly bytes: number
  /** How often an answer waited for its reader, and how long at most: the longest may be going on. */
  readonly paused: number
  readonly longestPauseMs: number
  /** Of one answer, when it paused. */
  readonly maxBufferedBytes: number
  readonly pulls: ReadonlyArray<{
    readonly model: string
    readonly at: number
    readonly end: "running" | "success" | "failed" | "cancelled"
    readonly completed: number
  }>
  /** The last request with a body; the body only up to 64 KiB. */
  readonly last:
    | {
      readonly path: string
      readonly headers: Readonly<Record<string, string>>
      readonly body: string | null
    }
    | null
}

export interface State {
  readonly engine: Kind
  readonly pid: number
  readonly argv: ReadonlyArray<string>
  /** 0 as long as it does not listen. */
  readonly port: number
  readonly stage: VllmStage | OllamaStage | "ready"
  readonly ready: boolean
  readonly readyAt: number
  /** Counted with `badStarts` only. */
  readonly starts: number
  /** Answers that are being made, those that wait for a place, and those that wait for their reader now. */
  readonly running: number
  readonly waiting: number
  readonly pausedNow: number
  readonly switches: Switches
  readonly counters: Counters
}

/** The switches as environment variables. */
export const environment = (switches: Partial<Switches>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(switches).map(([key, value]) => [
      `STANDIN_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
      Array.isArray(value) ? value.join(",") : String(value)
    ])
  )

/** A running stand-in's `/standin`. */
export interface Control {
  readonly read: () => Promise<State>
  readonly set: (switches: Partial<Switches>) => Promise<State>
  /** Counts from zero. */
  readonly reset: () => Promise<State>
  /** Waits until it answers and the state is so; 5 s unless told otherwise. */
  readonly until: (condition: (state: State) => boolean, limitMs?: number) => Promise<State>
}

const ask = (url: string, body?: unknown): Promise<State> =>
  new Promise((resolve, reject) => {
    const request = http.request(url, { method: body === undefined ? "GET" : "POST", agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part
      })
      response.on("error", reject)
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`the stand-in answered ${response.statusCode}: ${text}`))
      })
    })
    request.on("error", reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })

/** The control of the stand-in at this address: its own, or that of its control port. */
export const control = (url: string): Control => {
  const read = () => ask(`${url}/standin`)
  return {
    read,
    set: (switches) => ask(`${url}/standin`, switches),
    reset: () => ask(`${url}/standin`, { reset: true }),
    until: async (condition, limitMs = 5000) => {
      const end = Date.now() + limitMs
      for (;;) {
        const state = await read().catch((error: unknown) => String(error))
        if (typeof state === "object" && condition(state)) return state
        if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${condition}; it is ${JSON.stringify(state)}`)
        await sleep(10)
      }
    }
  }
}

// ---- What answers are to be ----

/** The whole text of an answer to this last user's message, with the standard `tokenText`. */
export const answerText = (prompt: string, tokens = 16, forms: ReadonlyArray<SseForm> = []): string => {
  const begin = prompt.replace(/\s+/g, "").slice(0, 40)
  const end = forms.includes("utf8") ? "é日🙂 " : ""
  return Array.from({ length: tokens }, (_, n) => `${begin}:${n} ${end}`).join("")
}

/** The embedding of a text. */
export const vector = (text: string, size = 8): ReadonlyArray<number> => {
  const digest = createHash("sha256").update(text).digest()
  return Array.from({ length: size }, (_, index) => Math.fround(((digest[index % 32] ?? 0) - 127.5) / 127.5))
}

// ---- Processes ----

const fileOf = (kind: Kind) => path.join(import.meta.dirname, `${kind}.mjs`)

export interface StartOptions {
  readonly switches?: Partial<Switches>
  /** What follows `vllm serve`: the model first. `test/model` when absent. */
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** A free one when absent. */
  readonly port?: number
  /** Whether to wait until it is ready (the default), or only until its control answers. */
  readonly untilReady?: boolean
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface StandIn {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly control: Control
  /** All that it has written. */
  readonly output: () => string
  readonly ended: Promise<Exit>
  /** Sends the signal (SIGTERM when absent) and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Exit>
}

/** Held together, so that they differ. */
const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, "127.0.0.1"))
  await Promise.all(servers.map((server) => once(server, "listening")))
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Runs one as a child process. With Ollama, give it a store of its own by `env: { OLLAMA_MODELS }`. */
export const start = async (kind: Kind, options: StartOptions = {}): Promise<StandIn> => {
  const [free = 0, own = 0] = await freePorts(2)
  const port = options.port ?? free
  const args = kind === "vllm"
    ? [...options.args ?? ["test/model"], "--host", "127.0.0.1", "--port", String(port)]
    : ["serve"]
  const switches = { controlPort: own, ...options.switches }
  const child = spawn(process.execPath, [fileOf(kind), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      ...kind === "ollama" ? { OLLAMA_HOST: `127.0.0.1:${port}` } : {},
      ...environment(switches),
      ...options.env
    }
  })
  let output = ""
  let controlPort = 0
  const ended = new Promise<Exit>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code, signal }))
  })
  const controlled = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
        if (controlPort !== 0) return
        controlPort = Number(/^standin: control on port (\d+)$/m.exec(output)?.[1] ?? 0)
        if (controlPort !== 0) resolve()
      })
    }
  })
  await Promise.race([controlled, ended])
  const url = `http://127.0.0.1:${port}`
  const standIn: StandIn = {
    url,
    port,
    pid: child.pid ?? 0,
    control: control(`http://127.0.0.1:${controlPort}`),
    output: () => output,
    ended,
    stop: (signal = "SIGTERM") => {
      child.kill(signal)
      return ended
    }
  }
  if (options.untilReady === false) return standIn
  try {
    const failed = ended.then(({ code, signal }) => Promise.reject(new Error(`it ended with ${code ?? signal}`)))
    await Promise.race([standIn.control.until(({ ready }) => ready, 20_000), failed])
  } catch (error) {
    await standIn.stop("SIGKILL")
    throw new Error(`the stand-in is not ready: ${String(error)}; it said:\n${output}`)
  }
  return standIn
}

/** Runs one as a child process that ends with the scope. */
export const scoped = (kind: Kind, options: StartOptions = {}): Effect.Effect<StandIn, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => start(kind, options)),
    (standIn) => Effect.promise(() => standIn.stop("SIGKILL"))
  )

// ---- Images ----

/** A request to a Docker Engine. */
export const engineAsks = (socket: string, method: string, target: string, body?: unknown): Promise<[number, string]> =>
  new Promise((resolve, reject) => {
    const request = http.request(
      { socketPath: socket, path: target, method, agent: false, headers: { "Content-Type": "application/json" } },
      (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part
        })
        response.on("error", reject)
        response.on("end", () => resolve([response.statusCode ?? 0, text]))
      }
    )
    request.on("error", reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })

const hasImage = async (socket: string, name: string): Promise<boolean> =>
  (await engineAsks(socket, "GET", `/images/${name}/json`))[0] === 200

const digest = (...parts: ReadonlyArray<string | Uint8Array>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part).update("\0")
  return hash.digest("hex").slice(0, 12)
}

const config: Record<Kind, { readonly file: string; readonly changes: ReadonlyArray<string> }> = {
  vllm: {
    file: "usr/local/bin/vllm",
    changes: [
      "ENTRYPOINT [\"vllm\",\"serve\"]",
      "ENV PATH=/usr/local/bin:/usr/bin:/bin",
      "ENV VLLM_USAGE_SOURCE=production-docker-image",
      "EXPOSE 8000"
    ]
  },
  ollama: {
    file: "bin/ollama",
    changes: [
      "ENTRYPOINT [\"/bin/ollama\"]",
      "CMD [\"serve\"]",
      "ENV PATH=/usr/local/bin:/usr/bin:/bin",
      "ENV OLLAMA_HOST=0.0.0.0:11434",
      "ENV NVIDIA_VISIBLE_DEVICES=all",
      "ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility",
      "EXPOSE 11434"
    ]
  }
}

/** A stand-in as one file, which runs with nothing but Node. */
export const bundled = async (kind: Kind): Promise<Uint8Array> => {
  const { outputFiles } = await build({
    entryPoints: [fileOf(kind)],
    bundle: true,
    platform: "node",
    format: "esm",
    write: false
  })
  const [file] = outputFiles
  if (file === undefined) throw new Error(`esbuild made nothing of ${fileOf(kind)}`)
  return file.contents
}

const imageFiles = async (): Promise<Record<string, TarEntry>> => {
  const files: Record<string, TarEntry> = {
    ...await images.busyboxFiles(),
    ...await images.nodeFiles(),
    // For the home of root.
    "etc/passwd": { content: "root:x:0:0:root:/root:/bin/sh\n", mode: 0o644 },
    root: { directory: true, mode: 0o700 }
  }
  for (const kind of ["vllm", "ollama"] as const) {
    files[`opt/standin/${kind}.mjs`] = { content: await bundled(kind) }
    files[config[kind].file] = { link: `/opt/standin/${kind}.mjs` }
  }
  return files
}

/** Removes a volume that no container uses. */
export const removeVolume = async (socket: string, name: string): Promise<void> => {
  await engineAsks(socket, "DELETE", `/volumes/${name}`)
}

const repositoryName = async (): Promise<string> => {
  const contents = [await bundled("vllm"), await bundled("ollama"), await fs.readFile(import.meta.filename)]
  return `orchion-test-${digest(process.version, String((await fs.stat(process.execPath)).size), ...contents)}`
}

/** An image with the files of another and its own settings. */
const commit = async (socket: string, base: string, name: string, changes: ReadonlyArray<string>): Promise<void> => {
  const [status, text] = await engineAsks(socket, "POST", "/containers/create", { Image: base, Cmd: ["true"] })
  if (status !== 201) throw new Error(`a container of ${base}: ${text}`)
  const { Id: container } = JSON.parse(text) as { readonly Id: string }
  try {
    const at = name.lastIndexOf(":")
    const query = new URLSearchParams({ container, repo: name.slice(0, at), tag: name.slice(at + 1) })
    for (const change of ["CMD []", ...changes]) query.append("changes", change)
    const [committed, answer] = await engineAsks(socket, "POST", `/commit?${query}`)
    if (committed !== 201) throw new Error(`committing ${name}: ${answer}`)
  } finally {
    await engineAsks(socket, "DELETE", `/containers/${container}?force=true`)
  }
}

/**
 * The name of the image with this stand-in on an engine. It is made unless it is there: the name is made of what is in
 * it, so all suites of a run share one. Both images are one on disk, but for their settings.
 */
export const image = async (kind: Kind, socket: string): Promise<string> => {
  const repository = await repositoryName()
  const name = `${repository}:${kind}`
  if (await hasImage(socket, name)) return name
  const base = `${repository}:base`
  if (!await hasImage(socket, base)) await images.importImage({ socket, name: base, files: await imageFiles() })
  await commit(socket, base, name, config[kind].changes)
  return name
}

/** The same image with these switches set in it: for containers that are made by somebody else. */
export const variant = async (kind: Kind, socket: string, switches: Partial<Switches>): Promise<string> => {
  const base = await image(kind, socket)
  const variables = Object.entries(environment(switches)).sort(([a], [b]) => (a < b ? -1 : 1))
  const name = `${base}-${digest(JSON.stringify(variables))}`
  if (await hasImage(socket, name)) return name
  await commit(socket, base, name, [
    ...config[kind].changes,
    ...variables.map(([variable, value]) => `ENV ${variable}=${JSON.stringify(value)}`)
  ])
  return name
}

const removeImages = async (socket: string): Promise<void> => {
  const repository = await repositoryName()
  for (const tag of ["vllm", "ollama", "base"]) await images.removeImage(socket, `${repository}:${tag}`)
}

/**
 * The images, for the tests of a suite with a Docker Engine: made before its first test. They stay on an engine that
 * ends with the test run, and are removed from the machine's own.
 */
export const useImages = (engine: () => TestEngine): (kind: Kind) => string => {
  const names = new Map<Kind, string>()
  beforeAll(async () => {
    for (const kind of ["vllm", "ollama"] as const) names.set(kind, await image(kind, engine().socket))
  }, 90_000)
  afterAll(async () => {
    const { daemon, socket } = engine()
    if (daemon === undefined && socket !== process.env["ORCHION_TEST_DOCKER_SOCKET"]) await removeImages(socket)
  }, 60_000)
  return (kind) => {
    const name = names.get(kind)
    if (name === undefined) throw new Error("the images are there within the suite's tests only")
    return name
  }
}
