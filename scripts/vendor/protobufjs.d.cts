// The part of protobufjs that declarations of the library name.
export interface Writer {
  finish(): Uint8Array
}

export interface Reader {
  readonly buf: Uint8Array
  pos: number
  len: number
}
