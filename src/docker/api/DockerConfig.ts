/** The docker command's settings: its configuration file, its contexts and their certificates. */
import { createHash } from "node:crypto"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Bytes from "../../text/Bytes.js"
import * as SystemError from "../../text/SystemError.js"
import type { DockerEnvironment } from "./DockerEnvironment.js"

/** Certificates and keys for mutual authentication with Docker over TLS. PEM texts. */
export interface Tls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly verify: boolean
}

/** What is kept for a context: its endpoint as written, and how it is secured. */
export interface DockerContext {
  readonly host: string
  readonly tls: Tls | undefined
}

/** Above what any of these files has. */
const maxBytes = 1024 * 1024

/** Regular files only, as far as the bound: a pipe or a device in a file's place must not hang the agent or fill it. */
const readFile = async (file: string): Promise<string> => {
  const handle = await fs.open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error("it is not a regular file")
    if (stat.size > maxBytes) throw new Error(`it is larger than ${Bytes.format(maxBytes)}`)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(stat.size), 0, stat.size, 0)
    return buffer.toString("utf8", 0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** A file's text; `undefined` when there is none. One that cannot be read is logged and ignored. */
export const readText = (file: string): Effect.Effect<string | undefined> =>
  Effect.tryPromise({ try: () => readFile(file), catch: (error) => error }).pipe(
    Effect.catchAll((error) => {
      const code = SystemError.codeOf(error)
      return code === "ENOENT" || code === "ENOTDIR"
        ? Effect.succeed(undefined)
        : Effect.as(Effect.logWarning(`Ignoring ${file}: ${SystemError.describe(error)}`), undefined)
    })
  )

const readJson = (file: string): Effect.Effect<unknown> =>
  Effect.flatMap(readText(file), (text) =>
    text === undefined
      ? Effect.succeed(undefined)
      : Effect.try((): unknown => JSON.parse(text)).pipe(
        Effect.catchAll(() => Effect.as(Effect.logWarning(`Ignoring ${file}: not valid JSON`), undefined))
      ))

const property = (value: unknown, ...keys: ReadonlyArray<string>): unknown =>
  keys.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null && Object.hasOwn(at, key)
      ? (at as Readonly<Record<string, unknown>>)[key]
      : undefined),
    value
  )

/** Certificates in a directory under the docker command's names; `undefined` when there are none. */
export const readTls = (directory: string, verify: boolean): Effect.Effect<Tls | undefined> =>
  Effect.map(
    Effect.all({
      ca: readText(path.join(directory, "ca.pem")),
      cert: readText(path.join(directory, "cert.pem")),
      key: readText(path.join(directory, "key.pem"))
    }),
    ({ ca, cert, key }) =>
      ca === undefined && cert === undefined && key === undefined
        ? undefined
        : {
          verify,
          ...(ca === undefined ? {} : { ca }),
          ...(cert === undefined ? {} : { cert }),
          ...(key === undefined ? {} : { key })
        }
  )

/** Where the docker command keeps its settings; `undefined` for a user without a home directory. */
export const directory = ({ env, homeDirectory }: DockerEnvironment): string | undefined => {
  const named = env["DOCKER_CONFIG"]
  if (named !== undefined && named !== "") return named
  return homeDirectory === undefined ? undefined : path.join(homeDirectory, ".docker")
}

/** The configuration file; it may not be there. */
export const file = (environment: DockerEnvironment): string | undefined => {
  const config = directory(environment)
  return config === undefined ? undefined : path.join(config, "config.json")
}

/** The context that the docker command uses; `undefined` when it uses the default one. */
export const currentContext = (environment: DockerEnvironment): Effect.Effect<string | undefined> =>
  Effect.suspend(() => {
    const config = file(environment)
    return config === undefined ? Effect.succeed(undefined) : Effect.map(readJson(config), (settings) => {
      const current = property(settings, "currentContext")
      return typeof current === "string" && current !== "" && current !== "default" ? current : undefined
    })
  })

/** Where contexts are kept. */
export const contextsDirectory = (environment: DockerEnvironment): string =>
  path.join(directory(environment) ?? ".docker", "contexts")

/** A context by its name; `undefined` when none of that name has an endpoint of Docker's. */
export const readContext = (
  environment: DockerEnvironment,
  name: string
): Effect.Effect<DockerContext | undefined> =>
  Effect.gen(function*() {
    if (directory(environment) === undefined) return undefined
    const contexts = contextsDirectory(environment)
    const id = createHash("sha256").update(name).digest("hex")
    const docker = property(yield* readJson(path.join(contexts, "meta", id, "meta.json")), "Endpoints", "docker")
    const host = property(docker, "Host")
    if (typeof host !== "string" || host === "") return undefined
    const verify = property(docker, "SkipTLSVerify") !== true
    return { host, tls: yield* readTls(path.join(contexts, "tls", id, "docker"), verify) }
  })
