// Original file: proto/orchion/v1/orchestrator.proto


export interface NetworkInfo {
  /**
   * the local one that reaches the orchestrator
   */
  'address'?: (string);
  'interface'?: (string);
  'link_mbps'?: (number);
  '_address'?: "address";
  '_interface'?: "interface";
  '_link_mbps'?: "link_mbps";
}

export interface NetworkInfo__Output {
  /**
   * the local one that reaches the orchestrator
   */
  'address'?: (string);
  'interface'?: (string);
  'link_mbps'?: (number);
  '_address'?: "address";
  '_interface'?: "interface";
  '_link_mbps'?: "link_mbps";
}
