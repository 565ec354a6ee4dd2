/**
 * Keeps the heap's young generation at its first size. V8 would let it grow to 48 MiB while much is made and thrown away,
 * as when tokens are relayed, and not give it back; what dies young costs the same to collect in a small one.
 */
import * as v8 from "node:v8"

export const keepSmall = (): void => v8.setFlagsFromString("--semi-space-growth-factor=1")
