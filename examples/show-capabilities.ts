/** Uses Capabilities alone: prints what this machine is, without an orchestrator anywhere. */
import { Capabilities, LocalCapabilities } from "@orchion/node-agent"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

const program = Effect.gen(function*() {
  const { readAll } = yield* Capabilities
  const { cpu, gpus, memory } = yield* readAll
  yield* Console.log(`${cpu.logicalCores} threads, ${memory.totalBytes} bytes of memory, ${gpus.length} GPUs`)
})

Effect.runFork(program.pipe(Effect.provide(LocalCapabilities.layer({}))))
