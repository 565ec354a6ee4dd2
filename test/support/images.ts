/** Images made of what is on this machine, for engines that reach no registry. */
import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import * as http from "node:http"
import { promisify } from "node:util"
import { tar, type TarEntry } from "./tar.js"

/** What an imported image is. */
export interface ImportOptions {
  readonly socket: string
  /** With a tag. */
  readonly name: string
  readonly files: Readonly<Record<string, TarEntry>>
  /** Dockerfile instructions: `CMD ["sh"]`. */
  readonly changes?: ReadonlyArray<string>
}

/** Makes an image of files. */
export const importImage = (options: ImportOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const at = options.name.lastIndexOf(":")
    const query = new URLSearchParams({
      fromSrc: "-",
      repo: options.name.slice(0, at),
      tag: options.name.slice(at + 1)
    })
    for (const change of options.changes ?? []) query.append("changes", change)
    const request = http.request({
      socketPath: options.socket,
      path: `/images/create?${query}`,
      method: "POST",
      headers: { "Content-Type": "application/x-tar" },
      agent: false
    }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part
      })
      response.on("error", reject)
      response.on("end", () =>
        response.statusCode === 200 && !text.includes("\"error\"")
          ? resolve()
          : reject(new Error(`importing ${options.name}: ${text}`)))
    })
    request.on("error", reject)
    request.end(tar(options.files))
  })

/** Removes an image and the containers made of it are not asked for. */
export const removeImage = (socket: string, name: string): Promise<void> =>
  new Promise((resolve) => {
    const path = `/images/${encodeURI(name)}?force=true`
    const request = http.request({ socketPath: socket, path, method: "DELETE", agent: false }, (response) => {
      response.resume().on("close", () => resolve())
    })
    request.on("error", () => resolve())
    request.end()
  })

/** The commands that tests use in containers. */
const applets = [
  "sh",
  "sleep",
  "echo",
  "cat",
  "httpd",
  "nc",
  "true",
  "false",
  "kill",
  "seq",
  "dd",
  "ls",
  "id",
  "env",
  "wget"
]

const busybox = "/bin/busybox"

/** Why images cannot be made here, if so. */
export const missing = async (): Promise<string | undefined> =>
  await fs.access(busybox).then(() => true, () => false) ? undefined : "busybox-static is not installed"

/** A small Unix: one static file and names for it. Needs Debian's busybox-static. */
export const busyboxFiles = async (): Promise<Record<string, TarEntry>> => ({
  bin: { directory: true },
  tmp: { directory: true, mode: 0o777 },
  "bin/busybox": { content: await fs.readFile(busybox) },
  ...Object.fromEntries(applets.map((name) => [`bin/${name}`, { link: "busybox" }]))
})

/** This machine's Node.js and the libraries that it needs: `/usr/local/bin/node`. */
export const nodeFiles = async (): Promise<Record<string, TarEntry>> => {
  const { stdout } = await promisify(execFile)("ldd", [process.execPath])
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? "").filter((file) => file !== "")
  const files: Record<string, TarEntry> = {
    "usr/local/bin/node": { content: await fs.readFile(process.execPath) },
    tmp: { directory: true, mode: 0o777 }
  }
  for (const library of libraries) files[library.slice(1)] = { content: await fs.readFile(library) }
  return files
}
