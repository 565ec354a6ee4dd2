/** Who may use the HTTP API: for programs that embed the orchestrator. */
import type { IncomingMessage } from "node:http"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/** The request is answered with 401. */
export class Unauthenticated extends Data.TaggedError("Unauthenticated")<{
  /** Told to the client: what to send instead. */
  readonly message: string
  /** The `WWW-Authenticate` header, such as `Bearer` or `Basic realm="cluster"`, with which browsers ask for a password. */
  readonly challenge?: string
}> {}

/**
 * Looks at a request before anything else does, its body excepted. Succeeds when the client may go on; it is asked for
 * the page, the API and the events, and not for `/healthz`.
 */
export type Authenticate = (request: IncomingMessage) => Effect.Effect<void, Unauthenticated>
