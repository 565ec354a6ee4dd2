/** What is known of NVIDIA's GPUs. */
import type { GpuFacts } from "./Gpu.js"
import { allFields, type NvidiaField, type NvidiaMig, type NvidiaProcess } from "./NvidiaSmi.js"

/** What the probe knows, and what it remembers from run to run. */
export interface NvidiaFacts extends GpuFacts {
  /** Everything that the tool said about the programs that use the GPUs, the agent's own included. */
  readonly processes: ReadonlyArray<NvidiaProcess>
  /** When these were last asked for, and what the GPUs used then; absent when they must be asked for again. */
  readonly processesListed: { readonly at: number; readonly used: string } | undefined
  /** What this driver is known to answer. */
  readonly fields: ReadonlyArray<NvidiaField>
  readonly mig: ReadonlyArray<NvidiaMig>
  readonly migListedAt: number | undefined
  /** How often the tool did not answer in time, up to the longest deadline. */
  readonly timeouts: number
}

/** Before the first look has ended. */
export const initial: NvidiaFacts = {
  gpus: [],
  users: new Map(),
  isKnown: false,
  processes: [],
  processesListed: undefined,
  fields: allFields,
  mig: [],
  migListedAt: undefined,
  timeouts: 0
}

/** There is none. */
export const noGpus: NvidiaFacts = { ...initial, isKnown: true }
