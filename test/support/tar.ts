/** Writes tar archives: what an engine imports images from. */

/** A file's content, or where a symbolic link leads. */
export type TarEntry =
  | { readonly content: Uint8Array | string; readonly mode?: number }
  | { readonly link: string }
  | { readonly directory: true; readonly mode?: number }

const block = 512

const header = (name: string, size: number, mode: number, type: string, link: string): Buffer => {
  const bytes = Buffer.alloc(block)
  const octal = (value: number, at: number, length: number) =>
    bytes.write(value.toString(8).padStart(length - 1, "0"), at, "latin1")
  if (Buffer.byteLength(name) > 100 || Buffer.byteLength(link) > 100) throw new Error(`too long for a tar: ${name}`)
  bytes.write(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  bytes.write(" ".repeat(8), 148)
  bytes.write(type, 156)
  bytes.write(link, 157)
  bytes.write("ustar\0", 257, "latin1")
  bytes.write("00", 263)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  return bytes
}

/** An archive of these files, by path without a leading slash. */
export const tar = (entries: Readonly<Record<string, TarEntry>>): Buffer => {
  const parts: Array<Uint8Array> = []
  for (const [name, entry] of Object.entries(entries)) {
    if ("link" in entry) {
      parts.push(header(name, 0, 0o777, "2", entry.link))
    } else if ("directory" in entry) {
      parts.push(header(`${name}/`, 0, entry.mode ?? 0o755, "5", ""))
    } else {
      const content = typeof entry.content === "string" ? Buffer.from(entry.content) : entry.content
      parts.push(header(name, content.length, entry.mode ?? 0o755, "0", ""), content)
      parts.push(Buffer.alloc((block - (content.length % block)) % block))
    }
  }
  parts.push(Buffer.alloc(2 * block))
  return Buffer.concat(parts)
}
