// Original file: proto/orchion/v1/orchestrator.proto


export interface EmbeddingRequest {
  'model'?: (string);
  'input'?: (string)[];
}

export interface EmbeddingRequest__Output {
  'model': (string);
  'input': (string)[];
}
