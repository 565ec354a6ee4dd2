/** A headless Chromium of this machine, for tests of pages. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { BrowserContext, Page } from "playwright-core"

const names = ["chromium", "chromium-browser", "google-chrome"]

/** Where a browser is installed; `undefined` when there is none. */
const executable: string | undefined = (process.env["PATH"] ?? "")
  .split(path.delimiter)
  .flatMap((folder) => names.map((name) => path.join(folder, name)))
  .find((file) => fs.existsSync(file))

/**
 * Whether to leave out the tests of pages, with a line that says so: no browser is installed, and nobody insists on one
 * with `ORCHION_REQUIRE_BROWSER=1`.
 */
export const missing: boolean = executable === undefined && process.env["ORCHION_REQUIRE_BROWSER"] !== "1"
if (missing) console.warn(`No browser (${names.join(", ")}) is on the PATH: the tests of the page are left out.`)

const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Containers have little of what it would use otherwise.
  "--disable-dev-shm-usage"
]

export interface OpenPage {
  readonly page: Page
  /** What went wrong in it so far: errors of its scripts, and whatever its console calls an error. */
  readonly complaints: ReadonlyArray<string>
}

export interface Viewport {
  readonly width: number
  readonly height: number
}

/** One browser with a profile of its own, which goes with it. */
export class Browser extends Context.Tag("test/Browser")<Browser, {
  /** A page that is closed with the scope; 1280 by 800 unless told otherwise. */
  readonly open: (url: string, viewport?: Viewport) => Effect.Effect<OpenPage, never, Scope.Scope>
}>() {
  static readonly layer: Layer.Layer<Browser> = Layer.scoped(
    Browser,
    Effect.gen(function*() {
      const profile = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-browser-"))),
        (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
      )
      const { chromium } = yield* Effect.promise(() => import("playwright-core"))
      const context: BrowserContext = yield* Effect.acquireRelease(
        Effect.promise(() =>
          chromium.launchPersistentContext(profile, {
            ...(executable === undefined ? {} : { executablePath: executable }),
            args,
            viewport: null
          })
        ),
        (context) => Effect.promise(() => context.close())
      )
      return {
        open: (url, viewport = { width: 1280, height: 800 }) =>
          Effect.gen(function*() {
            const page = yield* Effect.acquireRelease(
              Effect.promise(() => context.newPage()),
              (page) => Effect.promise(() => page.close())
            )
            const complaints: Array<string> = []
            page.on("pageerror", (error) => complaints.push(error.message))
            page.on("console", (message) => {
              if (message.type() === "error") complaints.push(message.text())
            })
            yield* Effect.promise(async () => {
              await page.setViewportSize(viewport)
              await page.goto(url)
            })
            return { page, complaints }
          })
      }
    })
  )
}
