/** How this machine reaches its orchestrator. */
import * as Effect from "effect/Effect"
import { known } from "../node/Fields.js"
import { positiveInteger, within } from "./Numbers.js"
import type { DeviceFiles } from "./Files.js"
import { finding } from "../node/Findings.js"
import { NetworkInfo } from "../node/NodeCapabilities.js"
import * as LocalAddress from "../net/LocalAddress.js"
import type { Reading } from "./Probe.js"

const interfaceOf = (address: string): string | undefined =>
  Object.entries(LocalAddress.interfaces()).find(([, addresses]) =>
    addresses?.some((other) => other.address === address)
  )
    ?.[0]

/** Megabits per second from the text of an interface's `speed`; wireless and virtual ones have none (-1). */
export const parseLinkSpeed = (text: string | undefined): number | undefined =>
  within(positiveInteger(text), 1, 10_000_000)

/** Finds the address, its interface and its speed. Without an orchestrator there is nothing to find. */
export const detect = (
  files: DeviceFiles,
  orchestrator: { readonly host: string; readonly port: number } | undefined
): Effect.Effect<Reading<NetworkInfo | undefined>> => {
  if (orchestrator === undefined) return Effect.succeed({ facts: undefined, findings: [], goodFor: "1 day" })
  const { host, port } = orchestrator
  return LocalAddress.towards({ host, port }).pipe(
    Effect.flatMap((address) =>
      Effect.gen(function*() {
        const name = interfaceOf(address)
        const speed = name === undefined || name.includes("/")
          ? undefined
          : parseLinkSpeed(yield* files.line(`/sys/class/net/${name}/speed`))
        const facts: NetworkInfo | undefined = new NetworkInfo(
          known({ address, interface: name, linkMbps: speed })
        )
        return { facts, findings: yield* files.takeFindings, goodFor: "30 seconds" as const }
      })
    ),
    Effect.catchAll((cause) =>
      Effect.succeed({
        facts: undefined,
        findings: [finding({
          code: "network.unreachable",
          severity: "warning",
          subject: "network",
          message: `No address of this machine reaches the orchestrator ${host}: ${cause.message}.`,
          remedy: "Check the orchestrator's name, the name server and the routes of this machine."
        })],
        goodFor: "10 seconds" as const
      })
    )
  )
}
