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
    globalSetup: ["test/support/globalSetup.ts"],
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
