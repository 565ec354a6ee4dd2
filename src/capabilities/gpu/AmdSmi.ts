/** Parsing what amd-smi prints. */
import { known } from "../../node/Fields.js"
import { isObject, objectOf, objectsOf, parseJson, textOf } from "../Json.js"
import { bytes, decimal } from "../Numbers.js"
import { pciAddress } from "./PciBus.js"

/** What amd-smi reports of a card. */
export interface AmdSmiCard {
  readonly address?: string
  readonly model?: string
  readonly gfx?: string
  readonly driverVersion?: string
  readonly memoryTotalBytes?: number
}

/** Reads `amd-smi static --json`, whose form has changed from release to release: what is not found is absent. */
export const parseAmdSmi = (text: string): ReadonlyArray<AmdSmiCard> | undefined => {
  const parsed = parseJson(text)
  const cards = Array.isArray(parsed) ? parsed : isObject(parsed) ? parsed.gpu_data ?? [parsed] : undefined
  if (!Array.isArray(cards)) return undefined
  return objectsOf(cards, 1024).flatMap((card) => {
    const asic = objectOf(card.asic)
    const bus = objectOf(card.bus)
    const driver = objectOf(card.driver)
    const vram = objectOf(card.vram)
    const size = isObject(vram.size) ? vram.size.value : vram.size
    const mebibytes = typeof size === "number" ? size : decimal(textOf(size))
    const found = known({
      address: pciAddress(textOf(bus.bdf)),
      model: textOf(asic.market_name),
      gfx: /^gfx[0-9a-f]{3,5}$/.exec(textOf(asic.target_graphics_version) ?? "")?.[0],
      driverVersion: textOf(driver.version),
      memoryTotalBytes: bytes(mebibytes === undefined ? undefined : mebibytes * 1024 * 1024)
    })
    return Object.keys(found).length === 0 ? [] : [found]
  })
}
