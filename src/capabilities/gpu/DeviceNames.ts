/** The names of GPUs by their PCI ids, from the lists that distributions ship. */
import * as Printable from "../../text/Printable.js"

/** Where distributions keep the list of all PCI devices. */
export const pciIdFiles = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids"]

/** Where the list of AMD's GPUs is, which distinguishes the models of one chip. */
export const amdgpuIdFiles = ["/usr/share/libdrm/amdgpu.ids", "/opt/amdgpu/share/libdrm/amdgpu.ids"]

/** The longest name that is looked at, in characters. */
const maxName = 512

/** `0x73BF` or `73bf` as `73bf`. */
const hex = (id: string): string => id.toLowerCase().replace(/^0x/, "")

/** The name of a device in the text of `pci.ids`; the marketing name where the list has one in brackets. */
export const nameInPciIds = (text: string, vendor: string, device: string): string | undefined => {
  const start = new RegExp(`^${hex(vendor)}\\s`, "m").exec(text)?.index
  if (start === undefined || !/^[0-9a-f]{4}$/.test(hex(device))) return undefined
  // A vendor's devices are indented by one tab, up to the next vendor.
  const rest = text.slice(start)
  const end = /\n(?=[0-9a-fA-F])/.exec(rest)?.index
  const section = end === undefined ? rest : rest.slice(0, end)
  const name = new RegExp(`^\\t${hex(device)}\\s+(.*)$`, "m").exec(section)?.[1]
  // No name is longer; a pattern that looks for brackets would take long over one that is.
  const short = name?.slice(0, maxName)
  return Printable.label(/\[([^\]]+)\]/.exec(short ?? "")?.[1] ?? short)
}

/** The name of a device and revision in the text of `amdgpu.ids`. */
export const nameInAmdgpuIds = (text: string, device: string, revision: string): string | undefined => {
  for (const line of text.split("\n")) {
    const [id, rev, ...rest] = line.slice(0, maxName).split(",").map((part) => part.trim())
    // A name may have commas in it.
    const name = rest.join(", ")
    if (id === undefined || rev === undefined || name === "") continue
    if (hex(id) === hex(device) && hex(rev).padStart(2, "0") === hex(revision).padStart(2, "0")) {
      return Printable.label(name)
    }
  }
  return undefined
}
