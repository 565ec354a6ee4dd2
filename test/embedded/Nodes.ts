/** Nodes as agents describe them on the wire. */
import type { Capabilities } from "../../src/proto/generated/orchion/v1/Capabilities.js"
import type { GpuInfo } from "../../src/proto/generated/orchion/v1/GpuInfo.js"
import type { Node } from "../../src/proto/generated/orchion/v1/Node.js"

const gib = 1024 ** 3

/** What every agent in the field sends: descriptions alone. */
export const descriptions: Capabilities = {
  cpu: "8 cores",
  memory: "23.54 GB",
  os: "linux/amd64",
  gpu_type: "NVIDIA H200",
  gpu_vram_total: "140.4 GB",
  gpu_vram_available: "138.2 GB",
  gpu_vram_used: "2.2 GB",
  gpu_temperature: "33°C",
  gpu_power_usage: "75.2 W",
  power_usage: "75.2 W"
}

export const gpu = (index: number, more: GpuInfo = {}): GpuInfo => ({
  vendor: "nvidia",
  model: "NVIDIA H200",
  uuid: `GPU-5a1b0c2d-0000-4000-8000-00000000000${index}`,
  index,
  pci_address: `0000:${(0x1b + index * 0x10).toString(16)}:00.0`,
  memory_total_bytes: 141 * gib,
  memory_used_bytes: Math.round((2.2 + index * 17.5) * gib),
  memory_free_bytes: Math.round((138.8 - index * 17.5) * gib),
  unified_memory: false,
  utilization_percent: index * 13,
  temperature_celsius: 33 + index * 4,
  power_draw_watts: 75.2 + index * 80,
  power_limit_watts: 700,
  driver_version: "570.86.15",
  compute_capability: "9.0",
  mig_instances: [],
  foreign_processes: [],
  healthy: true,
  ...more
})

/** Every structured field that there is, with 64-bit figures beyond 32 bits. */
export const complete: Capabilities = {
  ...descriptions,
  agent_version: "0.1.0",
  labels: { zone: "rack-7", "_underscored": "kept", cache_bytes: "12" },
  cpu_info: {
    model: "AMD EPYC 9654 96-Core Processor",
    vendor: "AuthenticAMD",
    architecture: "amd64",
    sockets: 2,
    physical_cores: 192,
    logical_cores: 384,
    base_mhz: 2400,
    max_mhz: 3700,
    limit_cores: 48.5,
    features: ["avx2", "avx512f"]
  },
  memory_info: {
    total_bytes: 1511 * gib,
    available_bytes: 1204 * gib,
    swap_total_bytes: 8 * gib,
    swap_free_bytes: 8 * gib,
    limit_bytes: 512 * gib,
    limit_used_bytes: 96 * gib
  },
  os_info: {
    platform: "linux",
    release: "6.8.0-45-generic",
    distribution: "Ubuntu 24.04.1 LTS",
    virtualization: "none",
    board: "Supermicro H13DSG-O-CPU",
    boot_id: "6b1f6cf3-8b3c-4e80-9bb2-0d9bb3b6f6f1",
    uptime_seconds: 1_234_567,
    hostname: "gpu-node-07"
  },
  gpus: [
    gpu(0, { mig_instances: [{ uuid: "MIG-1", profile: "1g.18gb", memory_total_bytes: 18 * gib }] }),
    gpu(1, { foreign_processes: [{ pid: 4711, name: "python3", memory_used_bytes: 12 * gib }] })
  ],
  disks: [{ purpose: "docker", path: "/var/lib/docker", total_bytes: 3576 * gib, free_bytes: 1800 * gib }],
  network: { address: "10.0.0.7", interface: "ens1f0", link_mbps: 100_000 },
  container_runtime: { kind: "docker", version: "27.3.1", gpu_ready: true },
  findings: [{
    code: "nvidia.driver-mismatch",
    severity: "error",
    subject: "NVIDIA driver",
    message: "The kernel module is 570.86.15, the library 565.57.01.",
    remedy: "Restart the machine."
  }],
  engines: [{
    name: "vllm",
    state: "loading",
    models: ["meta-llama/Llama-3.1-70B-Instruct"],
    detail: "loading the weights",
    progress: 0.4,
    restarts: 1,
    image: "vllm/vllm-openai:v0.9.2"
  }]
}

export const node = (id: string, more: Node = {}): Node => ({
  id,
  hostname: `host-of-${id}`,
  agent_address: "10.0.0.7:50052",
  capabilities: descriptions,
  ...more
})
