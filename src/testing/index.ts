/**
 * Stand-ins for what an agent needs around it, for tests of programs that use the library: a machine, an orchestrator and
 * an engine. No hardware, Docker or network is needed. `examples/test-kit.ts` uses all three.
 *
 * @since 0.1.0
 */
export * as TestEngine from "./TestEngine.js"
export * as TestMachine from "./TestMachine.js"
export * as TestOrchestrator from "./TestOrchestrator.js"
