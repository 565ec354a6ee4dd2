/** The answer of `GET /api/served`. */

/** One model, on one engine of one node. */
export interface ServedModel {
  readonly node_id: string
  readonly hostname: string
  /** vllm, ollama */
  readonly engine: string
  /** As people write it: vLLM, Ollama. */
  readonly engine_title: string
  readonly model: string
  /** The engine's. */
  readonly state: string
  readonly detail: string
  /** 0 to 1 of that state. */
  readonly progress?: number
  /** When the node came: seconds since 1970. */
  readonly registered_unix: number
  /** Of the requests that go through this orchestrator. */
  readonly in_flight: number
  readonly requests: number
  readonly errors: number
  /** Made now. */
  readonly tokens_per_second: number
}

export interface Served {
  readonly served: ReadonlyArray<ServedModel>
}
