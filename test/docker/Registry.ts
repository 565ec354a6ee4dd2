/** A registry with one image, slow where it is told to be. */
import { createHash } from "node:crypto"
import * as http from "node:http"
import { gzipSync } from "node:zlib"
import * as Effect from "effect/Effect"
import { tar } from "../support/tar.js"

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`

export interface Registry {
  /** `127.0.0.1:1234/test/image:v1`. */
  readonly image: string
  /** Bytes of the layer as it is sent. */
  readonly layerBytes: number
  readonly requests: ReadonlyArray<string>
  /** Downloads that the client has cut off. */
  readonly aborted: () => number
}

/**
 * Serves `test/image:v1`, of one layer of about so many incompressible bytes, sent in pieces with a pause between them,
 * in milliseconds.
 */
export const make = (options: { readonly bytes: number; readonly pause: number }) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        let seed = 1
        const content = Buffer.alloc(options.bytes)
        for (let at = 0; at < content.length; at++) {
          seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
          content[at] = seed >> 16
        }
        const archive = tar({ "data.bin": { content } })
        const layer = gzipSync(archive, { level: 1 })
        const config = Buffer.from(JSON.stringify({
          architecture: process.arch === "x64" ? "amd64" : process.arch,
          os: "linux",
          config: { Cmd: ["/none"] },
          rootfs: { type: "layers", diff_ids: [digestOf(archive)] }
        }))
        const manifest = Buffer.from(JSON.stringify({
          schemaVersion: 2,
          mediaType: "application/vnd.docker.distribution.manifest.v2+json",
          config: {
            mediaType: "application/vnd.docker.container.image.v1+json",
            size: config.length,
            digest: digestOf(config)
          },
          layers: [{
            mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
            size: layer.length,
            digest: digestOf(layer)
          }]
        }))
        const requests: Array<string> = []
        let aborted = 0
        const server = http.createServer(async (request, response) => {
          const path = request.url ?? ""
          requests.push(`${request.method} ${path}`)
          const send = (bytes: Uint8Array, type: string) => {
            response.writeHead(200, {
              "Content-Type": type,
              "Content-Length": bytes.length,
              "Docker-Content-Digest": digestOf(bytes)
            })
            response.end(request.method === "HEAD" ? undefined : bytes)
          }
          if (path === "/v2/") return response.writeHead(200).end("{}")
          if (path === "/v2/test/image/manifests/v1" || path.endsWith(`manifests/${digestOf(manifest)}`)) {
            return send(manifest, "application/vnd.docker.distribution.manifest.v2+json")
          }
          if (path.endsWith(digestOf(config))) return send(config, "application/octet-stream")
          if (path.endsWith(digestOf(layer))) {
            response.writeHead(200, { "Content-Length": layer.length })
            response.on("close", () => {
              if (!response.writableFinished) aborted++
            })
            const piece = Math.ceil(layer.length / 20)
            for (let at = 0; at < layer.length && !response.destroyed; at += piece) {
              response.write(layer.subarray(at, at + piece))
              await new Promise((resolve) => setTimeout(resolve, options.pause))
            }
            return response.end()
          }
          response.writeHead(404, { "Content-Type": "application/json" })
          response.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }))
        })
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
        return { server, requests, aborted: () => aborted, layerBytes: layer.length }
      }),
      ({ server }) =>
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          })
        )
    ),
    ({ aborted, layerBytes, requests, server }): Registry => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      return { image: `127.0.0.1:${port}/test/image:v1`, layerBytes, requests, aborted }
    }
  )
