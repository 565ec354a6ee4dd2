/** The credentials that `docker login` has kept, as the docker command would send them. */
import { spawn } from "node:child_process"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { guarded } from "../../effect/Callback.js"
import * as Bytes from "../../text/Bytes.js"
import * as SystemError from "../../text/SystemError.js"
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

class HelperFailed extends Data.TaggedError("HelperFailed")<{ readonly reason: string }> {
  override get message(): string {
    return this.reason
  }
}

/**
 * Runs a credential helper's `get`. Its standard error is ignored: "credentials not found" is no failure. Not by
 * `process/Tool`, whose tools are given nothing to read.
 */
const ask = (helper: string, server: string, env: NodeJS.ProcessEnv): Effect.Effect<string, HelperFailed> =>
  Effect.async<string, HelperFailed>((resume) => {
    const failed = (reason: string) => resume(Effect.fail(new HelperFailed({ reason })))
    const threw = (error: unknown) => failed(SystemError.describe(error))
    let kill = () => {}
    guarded(() => {
      const child = spawn(`docker-credential-${helper}`, ["get"], { env, stdio: ["pipe", "pipe", "ignore"] })
      kill = () => {
        child.kill("SIGKILL")
        child.stdout.destroy()
        child.stdin.destroy()
      }
      let output = ""
      child.on("error", threw)
      child.stdin.on("error", () => {})
      child.stdout.on("error", threw)
      child.stdout.setEncoding("utf8").on(
        "data",
        guarded((text: string) => {
          output += text
          if (output.length <= maxHelperOutput) return
          failed(`it printed more than ${Bytes.format(maxHelperOutput)}`)
          kill()
        }, threw)
      )
      child.on(
        "close",
        (code) => code === 0 ? resume(Effect.succeed(output)) : failed(`it ended with exit code ${code}`)
      )
      child.stdin.end(server)
    }, threw)()
    return Effect.sync(() => kill())
  }).pipe(
    Effect.timeoutFail({
      duration: helperDeadline,
      onTimeout: () => new HelperFailed({ reason: "it did not answer within 10 s" })
    })
  )

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
      const asked = yield* Effect.either(
        Effect.flatMap(ask(helper, server, { ...environment.env }), (answer) =>
          Effect.mapError(Schema.decodeUnknown(Credentials)(answer), () =>
            new HelperFailed({ reason: "its answer was not understood" })))
      )
      if (asked._tag === "Right") {
        const { Username, Secret } = asked.right
        return Username === "<token>"
          ? header({ identitytoken: Secret, serveraddress: server })
          : header({ username: Username, password: Secret, serveraddress: server })
      }
      yield* Effect.logDebug(`No credentials for ${server} from docker-credential-${helper}: ${asked.left.message}`)
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
