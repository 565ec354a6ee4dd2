// Original file: proto/orchion/v1/orchestrator.proto


export interface TokenUsage {
  'prompt_tokens'?: (number);
  'completion_tokens'?: (number);
}

export interface TokenUsage__Output {
  'prompt_tokens': (number);
  'completion_tokens': (number);
}
