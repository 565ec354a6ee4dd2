import { defineConfig } from "vitest/config"
import config from "./vitest.config.js"

/** The tests of the stand-ins for engines, which the tests of the product use. */
export default defineConfig({
  ...config,
  test: { ...config.test, include: ["test/support/engines/*.test.ts"], exclude: [] }
})
