// Original file: proto/grpc/reflection/v1/reflection.proto


export interface ServiceResponse {
  /**
   * its full name
   */
  'name'?: (string);
}

export interface ServiceResponse__Output {
  /**
   * its full name
   */
  'name': (string);
}
