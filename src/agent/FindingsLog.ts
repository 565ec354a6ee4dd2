/** Findings in the log: a line when one appears, a line when it is gone. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Finding } from "../node/NodeCapabilities.js"
import { oneLine } from "../text/Printable.js"

export interface FindingsLog {
  /** Takes the current findings, and logs what changed. */
  readonly update: (findings: ReadonlyArray<Finding>) => Effect.Effect<void>
}

/** A flapping finding is logged no more often than this. */
const reminder = Duration.minutes(10)

/** The limit of remembered findings; a machine has some tens of devices with a few findings each. */
const maxRemembered = 256

/** A finding that only says that detection is still running is not logged. */
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
          // A flapping finding keeps its last logged state until the reminder interval has passed.
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
