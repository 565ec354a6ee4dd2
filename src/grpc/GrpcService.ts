/**
 * A gRPC service as a value that carries its types: which methods it has, how each streams, what it takes and answers.
 *
 * The types come from what `proto-loader-gen-types` generates: a `…Definition` (messages as a client sees them) and
 * `…Handlers` (messages as a server sees them, and how a method streams).
 */
import type * as grpc from "@grpc/grpc-js"

/** A service of the generated types `Definition` and `Handlers`. */
export interface GrpcService<Definition, Handlers> {
  /** The full name: `orchion.v1.Orchestrator`. */
  readonly name: string
  readonly definition: grpc.ServiceDefinition
  /** Carries the types; absent at run time. */
  readonly _types?: { readonly definition: Definition; readonly handlers: Handlers }
}

export const make = <Definition, Handlers>(
  name: string,
  definition: grpc.ServiceDefinition
): GrpcService<Definition, Handlers> => ({ name, definition })

/** The wire form of a method. Asking for one that the service does not have is a defect. */
export const methodOf = <D, H>(
  service: GrpcService<D, H>,
  method: string
  // The generated definitions name the message types; grpc-js's own description of a method has lost them.
): grpc.MethodDefinition<any, any> => {
  const definition = service.definition[method]
  if (definition === undefined) throw new Error(`${service.name} has no method ${method}`)
  return definition
}

/** Drops the index signature that the generated types inherit from grpc-js. */
type Known<T> = {
  [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K]
}

type Kind<Handler> = Handler extends grpc.handleUnaryCall<infer I, infer O>
  ? { readonly kind: "unary"; readonly serverIn: I; readonly serverOut: O }
  : Handler extends grpc.handleServerStreamingCall<infer I, infer O>
    ? { readonly kind: "serverStream"; readonly serverIn: I; readonly serverOut: O }
  : Handler extends grpc.handleBidiStreamingCall<infer I, infer O>
    ? { readonly kind: "bidi"; readonly serverIn: I; readonly serverOut: O }
  : { readonly kind: "unsupported"; readonly serverIn: never; readonly serverOut: never }

/** The names of a service's methods of one kind. */
export type MethodsOf<Handlers, K extends "unary" | "serverStream" | "bidi"> = {
  [M in keyof Known<Handlers>]: Kind<Known<Handlers>[M]>["kind"] extends K ? M : never
}[keyof Known<Handlers>]

type ClientTypes<Definition, M> = M extends keyof Definition ? Definition[M] extends {
    readonly requestSerialize: (value: infer Request) => Buffer
    readonly responseDeserialize: (bytes: Buffer) => infer Response
  } ? { readonly request: Request; readonly response: Response }
  : never
  : never

/** What a client sends to a method. */
export type Request<Definition, M> = ClientTypes<Definition, M>["request"]
/** What a client receives from a method. */
export type Response<Definition, M> = ClientTypes<Definition, M>["response"]
/** What a server receives in a method. */
export type ServerRequest<Handlers, M> = M extends keyof Handlers ? Kind<Handlers[M]>["serverIn"] : never
/** What a server answers in a method. */
export type ServerResponse<Handlers, M> = M extends keyof Handlers ? Kind<Handlers[M]>["serverOut"] : never
