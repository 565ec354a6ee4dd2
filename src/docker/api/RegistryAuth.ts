/** The credentials that `docker login` has kept, as the docker command would send them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ProcessRunner from "../../process/ProcessRunner.js"
import * as DockerConfig from "./DockerConfig.js"
import type { DockerEnvironment } from "./DockerEnvironment.js"
import type * as ImageReference from "./ImageReference.js"

const Auth = Schema.Struct({
  auth: Schema.optional(Schema.String),
  identitytoken: Schema.optional(Schema.String)
})

const ConfigFile = Schema.parseJson(Schema.Struct({
  auths: Schema.optional(Schema.Record({ key: Schema.String, value: Auth })),
  credHelpers: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.String })),
  credsStore: Schema.optional(Schema.String)
}))

const Credentials = Schema.parseJson(Schema.Struct({ Username: Schema.String, Secret: Schema.String }))

/** What Docker Hub's credentials are kept under. */
const hub = "https://index.docker.io/v1/"

const helperDeadline = Duration.seconds(10)
const maxHelperOutput = 64 * 1024

interface HeaderFields {
  readonly username?: string
  readonly password?: string
  readonly identitytoken?: string
  readonly serveraddress: string
}

const header = (fields: HeaderFields): Redacted.Redacted<string> =>
  Redacted.make(Buffer.from(JSON.stringify(fields)).toString("base64url"))

/** Runs a credential helper's `get`. Its standard error is ignored: "credentials not found" is no failure. */
const ask = (
  helper: string,
  server: string,
  env: NodeJS.ProcessEnv
): Effect.Effect<string, ProcessRunner.ProcessError> =>
  Effect.flatMap(ProcessRunner.make(), ({ run }) =>
    run({
      file: `docker-credential-${helper}`,
      args: ["get"],
      env,
      stdin: server,
      deadline: helperDeadline,
      maxOutputBytes: maxHelperOutput
    })).pipe(Effect.map(({ stdout }) => stdout))

/**
 * The value of the `X-Registry-Auth` header for an image's registry; `undefined` without credentials. What cannot be
 * read is logged, and the pull continues without credentials.
 */
export const find = (
  environment: DockerEnvironment,
  image: ImageReference.ImageReference
): Effect.Effect<Redacted.Redacted<string> | undefined> =>
  Effect.gen(function*() {
    const file = DockerConfig.file(environment)
    const text = file === undefined ? undefined : yield* DockerConfig.readText(file)
    if (text === undefined) return undefined
    const config = yield* Effect.orElseSucceed(Schema.decodeUnknown(ConfigFile)(text), () => undefined)
    if (config === undefined) {
      return yield* Effect.as(
        Effect.logWarning(`${file} could not be understood; pulling ${image.original} without credentials`),
        undefined
      )
    }
    const server = image.registry === "docker.io" ? hub : image.registry
    const names = [server, `https://${server}`, `https://${server}/`, `http://${server}`]
    const kept = names.map((name) => config.auths?.[name]).find((auth) => auth !== undefined)
    const helper = config.credHelpers?.[image.registry] ?? config.credsStore
    if (helper !== undefined && helper !== "") {
      if (!/^[\w.-]+$/.test(helper)) return undefined
      const credentials = yield* ask(helper, server, { ...environment.env }).pipe(
        Effect.flatMap(Schema.decodeUnknown(Credentials)),
        // Neither error shows what the helper printed.
        Effect.catchAll((error) =>
          Effect.as(
            Effect.logDebug(
              `No credentials for ${server} from docker-credential-${helper}: ${
                error._tag === "ParseError" ? "its answer was not understood" : error.message
              }`
            ),
            undefined
          )
        )
      )
      if (credentials !== undefined) {
        const { Secret, Username } = credentials
        return Username === "<token>"
          ? header({ identitytoken: Secret, serveraddress: server })
          : header({ username: Username, password: Secret, serveraddress: server })
      }
    }
    if (kept?.identitytoken !== undefined && kept.identitytoken !== "") {
      return header({ identitytoken: kept.identitytoken, serveraddress: server })
    }
    if (kept?.auth === undefined) {
      return undefined
    }
    const decoded = Buffer.from(kept.auth, "base64").toString("utf8")
    const colon = decoded.indexOf(":")
    return colon <= 0
      ? undefined
      : header({
        username: decoded.slice(0, colon),
        password: decoded.slice(colon + 1).replace(/\0+$/, ""),
        serveraddress: server
      })
  })
