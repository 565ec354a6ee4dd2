// Original file: proto/grpc/reflection/v1/reflection.proto


export interface FileDescriptorResponse {
  /**
   * each a serialized FileDescriptorProto
   */
  'file_descriptor_proto'?: (Buffer | Uint8Array | string)[];
}

export interface FileDescriptorResponse__Output {
  /**
   * each a serialized FileDescriptorProto
   */
  'file_descriptor_proto': (Buffer)[];
}
