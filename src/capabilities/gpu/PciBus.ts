/** The GPUs on the PCI bus, with or without a driver: what should be there, whatever the vendor's tool says. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { DeviceFiles } from "../Files.js"

/** A display controller or a processing accelerator. */
export interface PciGpu {
  /** `0000:3b:00.0`. */
  readonly address: string
  readonly vendor: "nvidia" | "amd" | "intel"
  /** Four hexadecimal digits, in lower case: `2330`. */
  readonly deviceId: string
  /** The kernel's driver that holds it: `nvidia`, `amdgpu`, `vfio-pci`; absent when none does. */
  readonly driver?: string
}

const vendors: Readonly<Record<string, PciGpu["vendor"]>> = { "10DE": "nvidia", "1002": "amd", "8086": "intel" }

/**
 * The vendor and device of a GPU from the text of a PCI device's `modalias`; `undefined` for any other device. AMD's
 * Instinct cards say that they are processing accelerators (class 12); other vendors' accelerators are no GPUs.
 */
export const parseModalias = (
  text: string
): { readonly vendor: PciGpu["vendor"]; readonly deviceId: string } | undefined => {
  const match =
    /^pci:v0000([0-9A-F]{4})d0000([0-9A-F]{4})sv[0-9A-F]{8}sd[0-9A-F]{8}bc([0-9A-F]{2})sc[0-9A-F]{2}i[0-9A-F]{2}/
      .exec(text.trim())
  const [, id, device, kind] = match ?? []
  const vendor = id === undefined ? undefined : vendors[id]
  if (vendor === undefined || device === undefined) return undefined
  return kind === "03" || (kind === "12" && vendor === "amd") ? { vendor, deviceId: device.toLowerCase() } : undefined
}

/** A PCI address as Linux writes it, from what tools print: `00000000:3B:00.0` becomes `0000:3b:00.0`. */
export const pciAddress = (text: string | undefined): string | undefined => {
  const match = /^\s*(?:GPU)?(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])\s*$/.exec(text ?? "")
  if (match === null) return undefined
  const domain = Number.parseInt(match[1] ?? "0", 16)
  return `${domain.toString(16).padStart(4, "0")}:${match[2]}:${match[3]}.${match[4]}`.toLowerCase()
}

/** How long it is believed that nothing was plugged in and no driver was loaded. */
const age = Duration.toMillis("1 minute")

export interface PciBus {
  /** The GPUs of the machine, by address; none where there is no PCI bus to see. Looked at once a minute at most. */
  readonly gpus: Effect.Effect<ReadonlyArray<PciGpu>>
  readonly forget: Effect.Effect<void>
}

/** A view of the bus that reads only what it has not seen. */
export const make = (files: DeviceFiles): Effect.Effect<PciBus> =>
  // Every vendor's probe asks, at the same time.
  Effect.map(Effect.makeSemaphore(1), (turn) => {
    const folder = "/sys/bus/pci/devices"
    /** What a device is does not change while it is plugged in: a bus of hundreds is read through once. */
    let seen = new Map<string, ReturnType<typeof parseModalias>>()
    let known: ReadonlyArray<PciGpu> = []
    let readAt: number | undefined
    const read = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (readAt !== undefined && now >= readAt && now - readAt < age) return known
      const next: typeof seen = new Map()
      const gpus: Array<PciGpu> = []
      for (const address of yield* files.list(folder)) {
        const device = seen.has(address)
          ? seen.get(address)
          : parseModalias((yield* files.line(`${folder}/${address}/modalias`)) ?? "")
        next.set(address, device)
        if (device === undefined) continue
        const driver = yield* files.link(`${folder}/${address}/driver`)
        gpus.push(driver === undefined ? { address, ...device } : { address, ...device, driver })
      }
      seen = next
      known = gpus
      readAt = now
      return known
    })
    return {
      gpus: turn.withPermits(1)(read),
      forget: Effect.sync(() => {
        seen = new Map()
        readAt = undefined
      })
    }
  })

/** A vendor's GPUs on the bus that its driver does not hold: those set aside for virtual machines, and the others. */
export const unheld = (
  gpus: ReadonlyArray<PciGpu>,
  vendor: PciGpu["vendor"],
  isHeld: (gpu: PciGpu) => boolean
): { readonly passedThrough: ReadonlyArray<PciGpu>; readonly missing: ReadonlyArray<PciGpu> } => {
  const own = gpus.filter((gpu) => gpu.vendor === vendor)
  return {
    passedThrough: own.filter(({ driver }) => driver === "vfio-pci"),
    missing: own.filter((gpu) => gpu.driver !== "vfio-pci" && !isHeld(gpu))
  }
}

export const addresses = (gpus: ReadonlyArray<PciGpu>): string => gpus.map(({ address }) => address).join(", ")
