/** The phase before a container: its image is pulled. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type * as DockerError from "../../docker/api/DockerError.js"
import type { PullProgress } from "../../docker/ImagePull.js"
import * as Bytes from "../../text/Bytes.js"
import { EngineEvent } from "../EngineStatus.js"
import type { Supervision } from "./EngineRun.js"

/** The minimum time between two progress reports. */
const reportMillis = 250

const detailOf = (progress: PullProgress): string => {
  const { downloadedBytes, extractedBytes, image, layers, phase, retry, totalBytes, totalKnown } = progress
  const ofLayers = `${layers.existing + layers.extracted} of ${layers.total} layers`
  switch (phase) {
    case "resolving":
      return `Pulling ${image}: contacting the registry`
    case "downloading":
      return `Pulling ${image}: ${Bytes.format(downloadedBytes)} of ${totalKnown ? "" : "at least "}${
        Bytes.format(totalBytes)
      }, ${ofLayers}`
    case "extracting":
      return `Unpacking ${image}: ${Bytes.format(extractedBytes)} of ${Bytes.format(totalBytes)}, ${ofLayers}`
    case "waiting":
      return `Pulling ${image}: retrying in ${Math.round((retry?.delay ?? 0) / 1000)} s (${retry?.reason ?? ""})`
    case "complete":
      return `Pulled ${image}`
  }
}

const eventOf = (progress: PullProgress): EngineEvent => {
  const { downloadedBytes, extractedBytes, phase, totalBytes, totalKnown } = progress
  return EngineEvent.ImageProgress({
    detail: detailOf(progress),
    ...(totalBytes === 0 ? {} : {
      bytes: {
        done: phase === "extracting" ? extractedBytes : downloadedBytes,
        ...(totalKnown ? { total: totalBytes } : {})
      }
    })
  })
}

export const phase = (
  { board, docker, driver }: Supervision,
  image: string
): Effect.Effect<void, DockerError.PullError> =>
  Effect.flatMap(
    Ref.make({ at: 0, phase: "" }),
    (reported) =>
      Stream.runForEach(docker.pull(image), (progress) =>
        Effect.gen(function*() {
          // An image that is here already is not reported.
          if (progress.phase === "complete") return
          const at = yield* Clock.currentTimeMillis
          const last = yield* Ref.get(reported)
          if (progress.phase === last.phase && at - last.at < reportMillis) return
          yield* Ref.set(reported, { at, phase: progress.phase })
          yield* board.change(driver.name, { event: eventOf(progress) })
        }))
  )
