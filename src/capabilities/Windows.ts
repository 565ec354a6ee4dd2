/** What Windows says about its processors, by systeminformation, which asks without blocking the event loop. */
import * as Effect from "effect/Effect"
import type { CpuFacts } from "./Cpu.js"
import { known } from "../node/Fields.js"
import { within } from "./Numbers.js"
import * as Printable from "../text/Printable.js"
import type { Reading } from "./Probe.js"

/** GHz as MHz. */
const megahertz = (gigahertz: number): number | undefined => within(Math.round(gigahertz * 1000), 1, 20_000)

const count = (value: number): number | undefined => Number.isSafeInteger(value) ? within(value, 1, 65_536) : undefined

/** Asked once: nothing of it changes. */
export const detectCpu: Effect.Effect<Reading<CpuFacts | undefined>> = Effect.tryPromise(() =>
  import("systeminformation").then(({ default: system }) => system.cpu())
).pipe(
  Effect.map((cpu) => {
    const facts: CpuFacts | undefined = known({
      model: Printable.label(`${cpu.manufacturer} ${cpu.brand}`),
      vendor: Printable.label(cpu.vendor),
      sockets: count(cpu.processors),
      physicalCores: count(cpu.physicalCores),
      logicalCores: count(cpu.cores),
      baseMhz: megahertz(cpu.speed),
      maxMhz: megahertz(cpu.speedMax),
      features: []
    })
    return { facts, findings: [], goodFor: "1 day" as const }
  }),
  Effect.catchAll(() => {
    const nothing: CpuFacts | undefined = undefined
    return Effect.succeed({ facts: nothing, findings: [], goodFor: "10 minutes" as const })
  })
)
