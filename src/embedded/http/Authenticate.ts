/** Who may use the HTTP API: for programs that embed the orchestrator. */
import type { IncomingMessage } from "node:http"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/** The request is answered with 401. */
export class Unauthenticated extends Data.TaggedError("Unauthenticated")<{
  /** For the client: what to send instead. */
  readonly message: string
  /** The `WWW-Authenticate` header, such as `Bearer` or `Basic realm="cluster"`, with which browsers ask for a password. */
  readonly challenge?: string
}> {}

/**
 * Checks a request before its body is read. Succeeds when the client may proceed. Applies to the page, the API and the
 * events, not to `/healthz`.
 */
export type Authenticate = (request: IncomingMessage) => Effect.Effect<void, Unauthenticated>
