/**
 * Suites against a real Docker Engine.
 *
 * The engine is the one that the test run has started for all (its socket in `ORCHION_TEST_DOCKER_SOCKET`), else one
 * that the suite starts for itself, else the machine's own; with none of them the suite is skipped, and says so. With
 * `ORCHION_REQUIRE_DOCKER=1` it fails instead.
 */
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Docker } from "../../src/docker/Docker.js"
import * as DockerodeDocker from "../../src/docker/DockerodeDocker.js"
import * as dockerd from "./dockerd.js"
import * as images from "./images.js"

/** What a suite is given. */
export interface TestEngine {
  readonly socket: string
  /** As one names it to a client. */
  readonly host: string
  /** Another in each suite: the machine's own engine may have other suites' containers. */
  readonly nodeId: string
  /** An image with a small Unix in it; imported. */
  readonly image: string
  /** The daemon, where it is the suite's own to restart. */
  readonly daemon: dockerd.Engine | undefined
}

/** How a suite wants its engine. */
export interface SuiteOptions {
  /** It restarts the daemon, so it needs one for itself. Default false. */
  readonly ownDaemon?: boolean
  /** A folder that comes first on the `PATH` of a daemon of its own. */
  readonly daemonPath?: string
}

type Source =
  | { readonly _tag: "Shared"; readonly socket: string }
  | { readonly _tag: "Own" }
  | { readonly _tag: "None"; readonly reason: string }

const findSource = async (ownDaemon: boolean): Promise<Source> => {
  const noImages = await images.missing()
  if (noImages !== undefined) return { _tag: "None", reason: noImages }
  const shared = process.env["ORCHION_TEST_DOCKER_SOCKET"]
  if (!ownDaemon && shared !== undefined && shared !== "") return { _tag: "Shared", socket: shared }
  const missing = await dockerd.missing()
  if (missing === undefined) return { _tag: "Own" }
  if (ownDaemon) return { _tag: "None", reason: `${missing}, and this suite needs a daemon for itself` }
  const machines = /^unix:\/\/(.+)$/.exec(process.env["DOCKER_HOST"] ?? "")?.[1] ?? "/var/run/docker.sock"
  return await dockerd.answers(machines)
    ? { _tag: "Shared", socket: machines }
    : { _tag: "None", reason: `${missing}, and no engine answers at ${machines}` }
}

/** A suite with a real engine, which is there from the first test's beginning to the last one's end. */
export const describeDocker = async (
  title: string,
  define: (engine: () => TestEngine) => void,
  options: SuiteOptions = {}
): Promise<void> => {
  const source = await findSource(options.ownDaemon ?? false)
  if (source._tag === "None") {
    if (process.env["ORCHION_REQUIRE_DOCKER"] === "1") {
      describe(title, () => {
        it("finds a Docker Engine, which ORCHION_REQUIRE_DOCKER=1 requires", () => {
          throw new Error(`No Docker Engine for this suite: ${source.reason}.`)
        })
      })
      return
    }
    console.log(`Skipped, for lack of a Docker Engine: ${title} (${source.reason}).`)
    describe.skip(title, () =>
      define(() => {
        throw new Error("skipped")
      }))
    return
  }
  describe(title, () => {
    let engine: TestEngine | undefined
    beforeAll(async () => {
      const daemon = source._tag === "Own" ? await dockerd.start({ path: options.daemonPath }) : undefined
      const socket = source._tag === "Own" ? daemon?.socket ?? "" : source.socket
      const suite = `${process.pid}-${Math.random().toString(36).slice(2, 8)}`
      const image = `orchion-test-${suite}:busybox`
      await images.importImage({ socket, name: image, files: await images.busyboxFiles(), changes: ["CMD [\"sh\"]"] })
      engine = { socket, host: `unix://${socket}`, nodeId: `test-${suite}`, image, daemon }
    }, 90_000)
    afterAll(async () => {
      if (engine === undefined) return
      if (engine.daemon !== undefined) await engine.daemon.stop()
      else await images.removeImage(engine.socket, engine.image)
    }, 60_000)
    define(() => {
      if (engine === undefined) throw new Error("the engine is there within the suite's tests only")
      return engine
    })
  })
}

/** The port to a suite's engine. */
export const layer = (engine: () => TestEngine): Layer.Layer<Docker> =>
  Layer.unwrapEffect(Effect.sync(() => DockerodeDocker.layer({ host: engine().host })))
