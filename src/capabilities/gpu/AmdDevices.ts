/** What AMD's device numbers mean: architectures, the topology of the compute driver (KFD), and which GPUs are APUs. */
import { wholeNumber } from "../Numbers.js"

/** AMD's name for an architecture from the driver's number: 90402 is `gfx942`, 90010 `gfx90a`. */
export const gfxName = (version: number | undefined): string | undefined => {
  if (version === undefined || version < 10_000 || version > 999_999) return undefined
  const minor = Math.floor(version / 100) % 100
  const step = version % 100
  return minor > 15 || step > 15
    ? undefined
    : `gfx${Math.floor(version / 10_000)}${minor.toString(16)}${step.toString(16)}`
}

/** A GPU in the topology of the compute driver (KFD). */
export interface KfdNode {
  readonly address: string
  readonly gfx: string | undefined
}

/** Reads a node's `properties`; `undefined` for a node that is no GPU. */
export const parseKfdNode = (text: string): KfdNode | undefined => {
  const property = (name: string) => wholeNumber(new RegExp(`^${name} (\\d{1,15})$`, "m").exec(text)?.[1])
  const location = property("location_id")
  const version = property("gfx_target_version")
  if (location === undefined || version === undefined || version === 0 || location > 0xffff) return undefined
  const part = (value: number, digits: number) => value.toString(16).padStart(digits, "0")
  const domain = property("domain") ?? 0
  return {
    address: `${part(domain, 4)}:${part(location >> 8, 2)}:${part((location >> 3) & 0x1f, 2)}.${location & 7}`,
    gfx: gfxName(version)
  }
}

/** Architectures that are only in processors with graphics (APUs), which share the system's memory. */
const apuArchitectures = new Set([
  "gfx902",
  "gfx909",
  "gfx90c",
  "gfx1033",
  "gfx1035",
  "gfx1036",
  "gfx1037",
  "gfx1103",
  "gfx1150",
  "gfx1151",
  "gfx1152",
  "gfx1153"
])

/** Devices that are in APUs, for where the compute driver does not report the architecture; 74a0 is the MI300A. */
const apuDevices = new Set([
  "1114",
  "13c0",
  "1435",
  "1506",
  "150e",
  "1586",
  "15bf",
  "15c8",
  "15d8",
  "15dd",
  "15e7",
  "1636",
  "1638",
  "163f",
  "164c",
  "164d",
  "164e",
  "1681",
  "1900",
  "1901",
  "74a0"
])

/** Whether a GPU shares the system's memory. */
export const isApu = (device: string, gfx: string | undefined, vramBytes: number | undefined): boolean =>
  apuDevices.has(device.replace(/^0x/, "").toLowerCase()) || (gfx !== undefined && apuArchitectures.has(gfx))
  // No card of the last ten years has so little: this is a carve-out.
  || (vramBytes !== undefined && vramBytes <= 512 * 1024 * 1024)
