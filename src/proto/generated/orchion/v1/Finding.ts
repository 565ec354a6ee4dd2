// Original file: proto/orchion/v1/orchestrator.proto


/**
 * Something about the machine that a person should know and can mend.
 */
export interface Finding {
  /**
   * stable, for programs: "nvidia.driver-mismatch"
   */
  'code'?: (string);
  /**
   * info, warning, error
   */
  'severity'?: (string);
  /**
   * what it is about: "gpu 3"
   */
  'subject'?: (string);
  /**
   * what is wrong, in a sentence
   */
  'message'?: (string);
  /**
   * what to do about it; may be empty
   */
  'remedy'?: (string);
}

/**
 * Something about the machine that a person should know and can mend.
 */
export interface Finding__Output {
  /**
   * stable, for programs: "nvidia.driver-mismatch"
   */
  'code': (string);
  /**
   * info, warning, error
   */
  'severity': (string);
  /**
   * what it is about: "gpu 3"
   */
  'subject': (string);
  /**
   * what is wrong, in a sentence
   */
  'message': (string);
  /**
   * what to do about it; may be empty
   */
  'remedy': (string);
}
