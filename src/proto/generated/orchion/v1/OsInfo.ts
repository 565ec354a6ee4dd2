// Original file: proto/orchion/v1/orchestrator.proto

import type { Long } from '@grpc/proto-loader';

export interface OsInfo {
  /**
   * Go's names: linux, darwin, windows
   */
  'platform'?: (string);
  /**
   * of the kernel: "6.1.0-13-amd64"
   */
  'release'?: (string);
  /**
   * "Debian GNU/Linux 12 (bookworm)"
   */
  'distribution'?: (string);
  /**
   * docker, podman, kubernetes, wsl, kvm, none
   */
  'virtualization'?: (string);
  /**
   * "Raspberry Pi 5 Model B Rev 1.0"
   */
  'board'?: (string);
  /**
   * changes at every boot
   */
  'boot_id'?: (string);
  'uptime_seconds'?: (number | string | Long);
  /**
   * the system's, whatever the node is called
   */
  'hostname'?: (string);
  '_distribution'?: "distribution";
  '_virtualization'?: "virtualization";
  '_board'?: "board";
  '_boot_id'?: "boot_id";
}

export interface OsInfo__Output {
  /**
   * Go's names: linux, darwin, windows
   */
  'platform': (string);
  /**
   * of the kernel: "6.1.0-13-amd64"
   */
  'release': (string);
  /**
   * "Debian GNU/Linux 12 (bookworm)"
   */
  'distribution'?: (string);
  /**
   * docker, podman, kubernetes, wsl, kvm, none
   */
  'virtualization'?: (string);
  /**
   * "Raspberry Pi 5 Model B Rev 1.0"
   */
  'board'?: (string);
  /**
   * changes at every boot
   */
  'boot_id'?: (string);
  'uptime_seconds': (string);
  /**
   * the system's, whatever the node is called
   */
  'hostname': (string);
  '_distribution'?: "distribution";
  '_virtualization'?: "virtualization";
  '_board'?: "board";
  '_boot_id'?: "boot_id";
}
