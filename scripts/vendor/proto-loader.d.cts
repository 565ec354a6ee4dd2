// The part of @grpc/proto-loader that generated declarations name; none of its code is used at run time.
import type * as grpc from "./grpc-js.cjs"

/** A 64-bit number as the `long` package has it. The library reads and writes them as text. */
export interface Long {
  readonly high: number
  readonly low: number
  readonly unsigned: boolean
}

export interface MessageTypeDefinition<Message, MessageOutput> {
  format: string
  serialize: (value: Message) => Buffer
  deserialize: (bytes: Buffer) => MessageOutput
}

export interface EnumTypeDefinition {
  format: string
  type: object
}

export interface MethodDefinition<Request, Response, RequestOutput = Request, ResponseOutput = Response>
  extends Pick<grpc.MethodDefinition<Request, Response>, "path" | "requestStream" | "responseStream" | "originalName">
{
  requestSerialize: (value: Request) => Buffer
  responseSerialize: (value: Response) => Buffer
  requestDeserialize: (bytes: Buffer) => RequestOutput
  responseDeserialize: (bytes: Buffer) => ResponseOutput
}
