/** The graphics cards that a kernel driver holds, as `/sys/class/drm` has them. */
import * as Effect from "effect/Effect"
import type { DeviceFiles } from "../Files.js"
import { wholeNumber } from "../Numbers.js"
import { pciAddress } from "./PciBus.js"

export interface DrmCard {
  /** `/sys/class/drm/card0/device`. */
  readonly folder: string
  /** `0x1002`. */
  readonly vendor: string
  /** `0x73bf`. */
  readonly device: string
  /** `0xc1`. */
  readonly revision: string
  readonly address: string | undefined
  /** `amdgpu`, `i915`, `xe`. */
  readonly driver: string | undefined
  /** The folder of its sensors. */
  readonly sensors: string | undefined
}

export interface Drm {
  /** The cards of a vendor, ordered by PCI address. What has been seen is not read again until it goes. */
  readonly cards: (vendor: string) => Effect.Effect<ReadonlyArray<DrmCard>>
}

const readCard = (files: DeviceFiles, name: string): Effect.Effect<DrmCard> =>
  Effect.gen(function*() {
    const folder = `/sys/class/drm/${name}/device`
    const sensors = (yield* files.list(`${folder}/hwmon`)).find((entry) => entry.startsWith("hwmon"))
    return {
      folder,
      vendor: (yield* files.line(`${folder}/vendor`)) ?? "",
      device: (yield* files.line(`${folder}/device`)) ?? "",
      revision: (yield* files.line(`${folder}/revision`)) ?? "",
      // The link is the address; a copy of the tree has it in a file, too.
      address: pciAddress(yield* files.link(folder))
        ?? pciAddress(/^PCI_SLOT_NAME=(.*)$/m.exec((yield* files.text(`${folder}/uevent`)) ?? "")?.[1]),
      driver: (yield* files.link(`${folder}/driver`))
        ?? /^DRIVER=(.*)$/m.exec((yield* files.text(`${folder}/uevent`)) ?? "")?.[1],
      sensors: sensors === undefined ? undefined : `${folder}/hwmon/${sensors}`
    }
  })

/** A view of the cards that reads only what it has not seen. */
export const make = (files: DeviceFiles, onForget: (reset: () => void) => void): Effect.Effect<Drm> =>
  Effect.sync(() => {
    let seen = new Map<string, DrmCard>()
    onForget(() => {
      seen = new Map()
    })
    return {
      cards: (vendor) =>
        Effect.gen(function*() {
          const names = (yield* files.list("/sys/class/drm")).filter((name) => /^card\d{1,4}$/.test(name))
          const next: typeof seen = new Map()
          for (const name of names) next.set(name, seen.get(name) ?? (yield* readCard(files, name)))
          seen = next
          return [...next.values()].filter((card) => card.vendor === vendor)
            .sort((a, b) => (a.address ?? a.folder) < (b.address ?? b.folder) ? -1 : 1)
        })
    }
  })

/** The first sensor of a card that answers, in the sensor's unit divided by `unit`. */
export const sensor = (
  files: DeviceFiles,
  card: DrmCard | undefined,
  names: ReadonlyArray<string>,
  unit: number
): Effect.Effect<number | undefined> =>
  Effect.gen(function*() {
    if (card?.sensors === undefined) return undefined
    for (const name of names) {
      const value = wholeNumber(yield* files.line(`${card.sensors}/${name}`))
      if (value !== undefined) return value / unit
    }
    return undefined
  })
