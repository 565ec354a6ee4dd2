// Original file: proto/orchion/v1/orchestrator.proto


export interface Embedding {
  'embedding'?: (number | string)[];
  'index'?: (number);
}

export interface Embedding__Output {
  'embedding': (number)[];
  'index': (number);
}
