/** What a long-running command does to its heap once it has started. */
import * as Effect from "effect/Effect"
import * as v8 from "node:v8"
import * as vm from "node:vm"

/** How long after its start a command is taken to have loaded what it runs with. */
const settled = "5 seconds"

/**
 * Keeps the heap's young generation at its first size. V8 would let it grow to 48 MiB while much is made and thrown away,
 * as when tokens are relayed, and not give it back; what dies young costs the same to collect in a small one.
 */
export const keepYoungGenerationSmall = (): void => v8.setFlagsFromString("--semi-space-growth-factor=1")

/** Frees what only the start needed. V8 itself would do so after a quarter of a minute, or after hours. */
const collect = (): void => {
  v8.setFlagsFromString("--expose-gc")
  const gc: unknown = vm.runInNewContext("gc")
  v8.setFlagsFromString("--no-expose-gc")
  if (typeof gc === "function") gc()
}

/** The launcher's; absent when the command does not run from its bundle. */
const saveCodeCache = (): void => {
  const save: unknown = Reflect.get(globalThis, Symbol.for("@orchion/node-agent/saveCodeCache"))
  if (typeof save === "function") save()
}

/** Runs once, a few seconds from now, if the scope is still open then. */
export const afterStart = Effect.sync(() => {
  // V8 rejects a code cache that was made under other flags than it is read with.
  saveCodeCache()
  keepYoungGenerationSmall()
  collect()
}).pipe(Effect.delay(settled), Effect.forkScoped, Effect.asVoid)
