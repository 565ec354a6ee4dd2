/** The findings about a run, from its plan, its log and its API. */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Finding } from "../../node/NodeCapabilities.js"
import * as EngineFindings from "../EngineFindings.js"
import type { EngineRun } from "./EngineRun.js"

const same = (a: ReadonlyArray<Finding>, b: ReadonlyArray<Finding>): boolean =>
  a.length === b.length && a.every((finding, index) => finding.message === b[index]?.message)

const log = ({ message, remedy, severity }: Finding) =>
  severity === "info" ? Effect.logInfo(message) : Effect.logWarning(`${message} ${remedy}`)

/** Updates the board, and logs new findings. */
export const update = ({ plan, signs, supervision: { board, driver } }: EngineRun): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { device, seen } = yield* Ref.get(signs)
    const missesGpu = plan._tag === "Container" && plan.gpus !== undefined && device === "cpu"
    const findings = [...plan.findings, ...(missesGpu ? [EngineFindings.gpuNotSeen(driver.title)] : seen)]
    const before = board.get(driver.name).findings
    if (same(findings, before)) return
    const news = findings.filter(({ message }) => !before.some((known) => known.message === message))
    yield* Effect.forEach(news, log, { discard: true })
    yield* board.change(driver.name, { findings })
  })
