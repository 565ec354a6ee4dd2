// The part of @grpc/grpc-js that declarations of the library name. scripts/vendor.js puts it beside the bundled code, and
// fails when a declaration names something that is not here.
import type { EventEmitter } from "node:events"
import type { Readable, Writable } from "node:stream"

/** https://grpc.io/docs/guides/status-codes/ */
export declare enum status {
  OK = 0,
  CANCELLED,
  UNKNOWN,
  INVALID_ARGUMENT,
  DEADLINE_EXCEEDED,
  NOT_FOUND,
  ALREADY_EXISTS,
  PERMISSION_DENIED,
  RESOURCE_EXHAUSTED,
  FAILED_PRECONDITION,
  ABORTED,
  OUT_OF_RANGE,
  UNIMPLEMENTED,
  INTERNAL,
  UNAVAILABLE,
  DATA_LOSS,
  UNAUTHENTICATED
}

export type MetadataValue = string | Buffer

/** Headers or trailers. Names are lower case; values of names that end in `-bin` are buffers, others text. */
export declare class Metadata {
  set(key: string, value: MetadataValue): void
  add(key: string, value: MetadataValue): void
  remove(key: string): void
  get(key: string): Array<MetadataValue>
  getMap(): { [key: string]: MetadataValue }
  clone(): Metadata
  merge(other: Metadata): void
}

export interface StatusObject {
  code: status
  details: string
  metadata: Metadata
}

export type ServiceError = StatusObject & Error

export interface CallOptions {
  deadline?: Date | number
  host?: string
  propagate_flags?: number
}

export type requestCallback<Response> = (error: ServiceError | null, value?: Response) => void

export interface SurfaceCall extends EventEmitter {
  cancel(): void
  getPeer(): string
}
export type ClientUnaryCall = SurfaceCall
export type ClientReadableStream<Response> = Readable & SurfaceCall & {
  /** Carries the type of the messages; absent at run time. */
  readonly _message?: Response
  deserialize: (bytes: Buffer) => Response
}
export type ClientWritableStream<Request> = Writable & SurfaceCall & { serialize: (value: Request) => Buffer }
export type ClientDuplexStream<Request, Response> = ClientWritableStream<Request> & ClientReadableStream<Response>

/** How a channel protects its connections, or does not. */
export declare abstract class ChannelCredentials {
  static createInsecure(): ChannelCredentials
  static createSsl(rootCerts?: Buffer | null, privateKey?: Buffer | null, certChain?: Buffer | null): ChannelCredentials
}

/** How a server protects its connections, or does not. */
export declare abstract class ServerCredentials {
  static createInsecure(): ServerCredentials
  static createSsl(
    rootCerts: Buffer | null,
    keyCertPairs: Array<{ private_key: Buffer; cert_chain: Buffer }>,
    checkClientCertificate?: boolean
  ): ServerCredentials
}

export type ChannelOptions = { [option: string]: unknown }

export declare class Client {
  constructor(address: string, credentials: ChannelCredentials, options?: ChannelOptions)
  close(): void
  waitForReady(deadline: Date | number, callback: (error?: Error) => void): void
}

export interface MethodDefinition<Request, Response> {
  path: string
  requestStream: boolean
  responseStream: boolean
  requestSerialize: (value: Request) => Buffer
  responseSerialize: (value: Response) => Buffer
  requestDeserialize: (bytes: Buffer) => Request
  responseDeserialize: (bytes: Buffer) => Response
  originalName?: string
}

export interface ServiceDefinition {
  // Which messages a method has is known by name only; grpc-js loses them as well.
  readonly [method: string]: MethodDefinition<any, any>
}

export interface UntypedServiceImplementation {
  [method: string]: (call: any, callback: any) => void
}

export declare class Server {
  constructor(options?: ChannelOptions)
  addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void
  bindAsync(
    address: string,
    credentials: ServerCredentials,
    callback: (error: Error | null, port: number) => void
  ): void
  forceShutdown(): void
  tryShutdown(callback: (error?: Error) => void): void
}

export interface ServerSurfaceCall extends EventEmitter {
  cancelled: boolean
  readonly metadata: Metadata
  getPeer(): string
  sendMetadata(metadata: Metadata): void
  getDeadline(): Date | number
  getPath(): string
  getHost(): string
}
export type ServerUnaryCall<Request, Response> = ServerSurfaceCall & {
  request: Request
  /** Carries the type of the answer; absent at run time. */
  readonly _response?: Response
}
export type ServerReadableStream<Request, Response> = ServerSurfaceCall & Readable & {
  readonly _request?: Request
  readonly _response?: Response
}
export type ServerWritableStream<Request, Response> = ServerSurfaceCall & Writable & {
  request: Request
  readonly _response?: Response
}
export type ServerDuplexStream<Request, Response> = ServerSurfaceCall & Readable & Writable & {
  readonly _request?: Request
  readonly _response?: Response
}
export type sendUnaryData<Response> = (
  error: (Partial<StatusObject> & Error) | Partial<StatusObject> | null,
  value?: Response | null,
  trailer?: Metadata,
  flags?: number
) => void
export type handleUnaryCall<Request, Response> = (
  call: ServerUnaryCall<Request, Response>,
  callback: sendUnaryData<Response>
) => void
export type handleClientStreamingCall<Request, Response> = (
  call: ServerReadableStream<Request, Response>,
  callback: sendUnaryData<Response>
) => void
export type handleServerStreamingCall<Request, Response> = (call: ServerWritableStream<Request, Response>) => void
export type handleBidiStreamingCall<Request, Response> = (call: ServerDuplexStream<Request, Response>) => void
