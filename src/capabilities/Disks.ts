/** The disks that matter: where the agent keeps its state, and where the container runtime keeps images. */
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { within } from "./Numbers.js"
import type { DeviceFiles } from "./Files.js"
import { finding } from "../node/Findings.js"
import { DiskInfo, type Finding } from "../node/NodeCapabilities.js"
import type { Reading } from "./Probe.js"

/** Below this an engine's image no longer fits: 10 GiB. */
const lowForImages = 10 * 1024 ** 3
/** Below this the agent's own files may fail: 100 MiB. */
const lowForState = 100 * 1024 ** 2

/** The size of the file system that a path is on, or will be on: one that does not exist yet counts as its parent. */
const spaceAt = (files: DeviceFiles, place: string) =>
  Effect.gen(function*() {
    for (let at = path.resolve(place);;) {
      const space = yield* files.space(at)
      if (space !== undefined) return space
      const parent = path.dirname(at)
      if (parent === at) return undefined
      at = parent
    }
  })

const gibibytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`

/** Looks at the disks; a place that does not exist (such as a container runtime's, in a virtual machine) is left out. */
export const detect = (
  files: DeviceFiles,
  places: { readonly state: string | undefined; readonly docker: string | undefined }
): Effect.Effect<Reading<ReadonlyArray<DiskInfo>>> =>
  Effect.gen(function*() {
    const disks: Array<DiskInfo> = []
    const findings: Array<Finding> = []
    const look = (purpose: "state" | "docker", place: string, low: number) =>
      Effect.gen(function*() {
        const space = purpose === "state" ? yield* spaceAt(files, place) : yield* files.space(place)
        const totalBytes = within(space?.totalBytes, 1, Number.MAX_SAFE_INTEGER)
        const freeBytes = within(space?.freeBytes, 0, totalBytes ?? 0)
        if (totalBytes === undefined || freeBytes === undefined) return
        disks.push(new DiskInfo({ purpose, path: place, totalBytes, freeBytes }))
        if (freeBytes >= low) return
        findings.push(finding({
          code: "disk.nearly-full",
          severity: "warning",
          subject: `disk ${place}`,
          message: `Only ${gibibytes(freeBytes)} of ${gibibytes(totalBytes)} are free at ${place}.`,
          remedy: purpose === "docker"
            ? "Make room (docker system prune removes what no container uses): images of engines take 5 to 30 GiB."
            : "Make room, or put the state directory elsewhere (--state-dir)."
        }))
      })
    if (places.state !== undefined) yield* look("state", places.state, lowForState)
    if (places.docker !== undefined) yield* look("docker", places.docker, lowForImages)
    return { facts: disks, findings: [...findings, ...(yield* files.takeFindings)], goodFor: "30 seconds" as const }
  })
