// Original file: proto/grpc/reflection/v1/reflection.proto


export interface ErrorResponse {
  /**
   * as of gRPC's statuses
   */
  'error_code'?: (number);
  'error_message'?: (string);
}

export interface ErrorResponse__Output {
  /**
   * as of gRPC's statuses
   */
  'error_code': (number);
  'error_message': (string);
}
