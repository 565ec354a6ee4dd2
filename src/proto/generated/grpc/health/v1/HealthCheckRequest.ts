// Original file: proto/grpc/health/v1/health.proto


export interface HealthCheckRequest {
  /**
   * its full name; empty for the server as a whole
   */
  'service'?: (string);
}

export interface HealthCheckRequest__Output {
  /**
   * its full name; empty for the server as a whole
   */
  'service': (string);
}
