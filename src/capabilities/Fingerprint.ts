/** One aspect of this machine: how it is detected, and which facts still hold when detection takes too long. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { finding } from "../node/Findings.js"
import type { DeviceFiles } from "./Files.js"
import type { Host } from "./Host.js"
import * as Probe from "./Probe.js"

export interface Fingerprint<A> {
  /** For a person: `NVIDIA GPUs`. */
  readonly subject: string
  readonly initial: A
  /** What `detect` reads with: while a read of it hangs, `detect` does not start. Absent when it reads no device. */
  readonly files?: DeviceFiles
  readonly detect: (previous: A) => Effect.Effect<Probe.Reading<A>>
  /** The facts that still hold when detection was cut off. */
  readonly stale: (previous: A) => A
  /** When it is cut off, however its parts are bounded; the host's deadline by default. */
  readonly deadline?: (previous: A) => Duration.Duration
}

/** What is known when a fingerprint is late, and why it is. */
const late = <A>({ files, stale, subject }: Fingerprint<A>, previous: A, deadline: Duration.Duration) => {
  const stuck = files?.stuck()
  return {
    facts: stale(previous),
    findings: [finding({
      code: "probe.timed-out",
      severity: "error",
      subject,
      message: stuck === undefined
        ? `${subject}: no answer within ${Duration.toSeconds(deadline)} s.`
        : `${subject}: reading ${stuck} hangs.`,
      remedy: stuck === undefined
        ? "Check what it depends on: name servers, the container runtime, the load of this machine."
        : "A driver or a network file system hangs: check the kernel log (dmesg), or reboot."
    })],
    goodFor: "30 seconds" as const
  }
}

/** The probe of a fingerprint. */
export const probe = <A>(
  host: Pick<Host, "deadline">,
  fingerprint: Fingerprint<A>
): Effect.Effect<Probe.Probe<A>, never, Scope.Scope> =>
  Probe.make<A>({
    subject: fingerprint.subject,
    initial: fingerprint.initial,
    detect: (previous) =>
      Effect.suspend(() => {
        const deadline = fingerprint.deadline?.(previous) ?? host.deadline
        const tooLate = () => late(fingerprint, previous, deadline)
        if (fingerprint.files?.stuck() !== undefined) return Effect.succeed(tooLate())
        return Effect.map(
          Effect.timeoutOption(fingerprint.detect(previous), deadline),
          Option.getOrElse<Probe.Reading<A>>(tooLate)
        )
      })
  })

/** For fingerprints that run tools: these have deadlines of their own, and a killed one is waited for a little. */
export const withTools = (deadline: Duration.Duration): Duration.Duration => Duration.sum(deadline, "1 second")
