/** The vendors whose GPUs are detected, and on which platforms. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fingerprint from "../Fingerprint.js"
import type { Host } from "../Host.js"
import type { Probe } from "../Probe.js"
import * as Amd from "./Amd.js"
import * as Apple from "./Apple.js"
import type { GpuFacts } from "./Gpu.js"
import * as Intel from "./Intel.js"
import * as Nvidia from "./Nvidia.js"

interface Vendor {
  /** All where absent. */
  readonly platforms?: ReadonlyArray<NodeJS.Platform>
  readonly probe: (host: Host) => Effect.Effect<Probe<GpuFacts>, never, Scope.Scope>
}

/** In the order in which their GPUs are listed. */
const vendors: ReadonlyArray<Vendor> = [
  { probe: (host) => Fingerprint.probe(host, Nvidia.fingerprint(host)) },
  {
    platforms: ["linux"],
    probe: (host) => Effect.flatMap(Amd.fingerprint(host), (fingerprint) => Fingerprint.probe(host, fingerprint))
  },
  {
    platforms: ["linux", "win32"],
    probe: (host) => Effect.flatMap(Intel.fingerprint(host), (fingerprint) => Fingerprint.probe(host, fingerprint))
  },
  { platforms: ["darwin"], probe: (host) => Fingerprint.probe(host, Apple.fingerprint(host)) }
]

/** The probes for this machine. */
export const probes = (host: Host): Effect.Effect<ReadonlyArray<Probe<GpuFacts>>, never, Scope.Scope> =>
  Effect.forEach(
    vendors.filter(({ platforms }) => platforms?.includes(host.platform) ?? true),
    ({ probe }) => probe(host)
  )
