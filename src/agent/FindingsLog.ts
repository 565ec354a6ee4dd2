/** Findings in the log: a line when one appears, a line when it is gone. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Finding } from "../node/NodeCapabilities.js"
import { oneLine } from "../text/Printable.js"

export interface FindingsLog {
  /** What there is now; logs what that changes. */
  readonly update: (findings: ReadonlyArray<Finding>) => Effect.Effect<void>
}

/** A finding that comes and goes is logged no more often than this. */
const reminder = Duration.minutes(10)

/** Logged findings that are remembered; a machine has some tens of devices with a few findings each. */
const maxRemembered = 256

/** What says only that detection has not ended yet is no news. */
const isSilent = ({ code }: Finding) => code === "gpu.unknown"

const keyOf = ({ code, subject }: Finding) => `${code} ${subject}`

const sentenceOf = ({ message, remedy }: Finding) => oneLine(remedy === "" ? message : `${message} ${remedy}`)

interface Logged {
  readonly finding: Finding
  readonly at: number
  readonly isPresent: boolean
}

export const make: Effect.Effect<FindingsLog> = Effect.sync(() => {
  const logged = new Map<string, Logged>()

  const fields = ({ code, severity, subject }: Finding) => ({
    event: "finding",
    "finding.code": code,
    "finding.severity": severity,
    "finding.subject": subject
  })
  const appeared = (finding: Finding) =>
    (finding.severity === "info" ? Effect.logInfo : Effect.logWarning)(sentenceOf(finding)).pipe(
      Effect.annotateLogs(fields(finding))
    )
  const gone = (finding: Finding) =>
    Effect.annotateLogs(Effect.logInfo(`Resolved: ${oneLine(finding.message)}`), fields(finding))

  return {
    update: Effect.fn("FindingsLog.update")(function*(findings) {
      const now = yield* Clock.currentTimeMillis
      const present = new Map(
        findings.filter((finding) => !isSilent(finding)).map((finding) => [keyOf(finding), finding])
      )
      for (const [key, { at, finding, isPresent }] of [...logged]) {
        if (present.has(key)) continue
        if (isPresent) yield* gone(finding)
        if (Math.abs(now - at) >= Duration.toMillis(reminder)) logged.delete(key)
        else logged.set(key, { finding, at, isPresent: false })
      }
      for (const [key, finding] of present) {
        const before = logged.get(key)
        if (before !== undefined) {
          // A finding that flaps stays logged as what it was, gone or not, until it is worth another line.
          const isDue = !before.isPresent && Math.abs(now - before.at) >= Duration.toMillis(reminder)
          if (!isDue) continue
        } else if (logged.size >= maxRemembered) {
          continue
        }
        logged.set(key, { finding, at: now, isPresent: true })
        yield* appeared(finding)
      }
    })
  }
})
