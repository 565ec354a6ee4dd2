import * as os from "node:os"
import * as path from "node:path"
import { defineConfig } from "vitest/config"

const source = path.resolve(import.meta.dirname, "src")

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@orchion\/node-agent$/, replacement: path.join(source, "index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    // Tests of what tests use have a run of their own: `npm run test:stand-ins`.
    exclude: ["test/support/**"],
    globalSetup: ["test/support/globalSetup.ts"],
    pool: "forks",
    // Most of a test's time is waiting for other processes, so that even two cores have room for two files at once.
    maxWorkers: Math.max(2, os.availableParallelism() - 1),
    minWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
