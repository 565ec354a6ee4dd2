/** What is known about containers and the Docker that runs them, as plain data. An absent field is unknown. */

/** A port of a container that can be reached from this machine. */
export interface PublishedPort {
  readonly container: number
  readonly protocol: string
  /** The machine's address that it is bound to: `127.0.0.1`, `0.0.0.0`, `::`. */
  readonly hostIp: string
  readonly host: number
}

export type ContainerState = "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead"

/** One container, as a list shows it. */
export interface ContainerSummary {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly name: string
  /** As given when it was created. */
  readonly image: string
  readonly state: ContainerState
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly ports: ReadonlyArray<PublishedPort>
}

/** One container in detail. */
export interface ContainerInfo extends ContainerSummary {
  /** `sha256:…`, of the image that it really runs. */
  readonly imageId: string
  /** On the host; absent when it does not run. */
  readonly pid?: number
  /** Milliseconds since 1970; absent when it never started. */
  readonly startedAt?: number
  /** Milliseconds since 1970; absent while it runs. */
  readonly finishedAt?: number
  /** Absent while it runs and when it never started. */
  readonly exitCode?: number
  /** The kernel ended it, or a process in it, for lack of memory. */
  readonly oomKilled: boolean
  /** What Docker says about its last start or end; absent when nothing. */
  readonly error?: string
  /** Of the image's own health check; absent when it has none. */
  readonly health?: string
  /** From the stop signal to the kill; absent when it was created without. */
  readonly stopTimeoutSeconds?: number
  /** It has a terminal, so that its output is one raw stream. */
  readonly tty: boolean
}

/** How a container ended. */
export interface ContainerExit {
  /** 128 + n when signal n ended it. */
  readonly exitCode: number
  /** Unknown when the container was removed before it could be looked at. */
  readonly oomKilled?: boolean
  readonly error?: string
  /** Milliseconds since 1970. */
  readonly finishedAt?: number
}

/** What a container uses now. */
export interface ContainerStats {
  /** Milliseconds since 1970. */
  readonly time: number
  /** 100 is one core fully used. */
  readonly cpuPercent?: number
  /** Bytes in use, the page cache that can be dropped at once not counted. */
  readonly memoryUsedBytes?: number
  /** Absent when unlimited. */
  readonly memoryLimitBytes?: number
  readonly pids?: number
  /** Bytes since the container's start, over all its networks. */
  readonly networkReceivedBytes?: number
  readonly networkSentBytes?: number
  /** Bytes since the container's start. */
  readonly blockReadBytes?: number
  readonly blockWrittenBytes?: number
}

/** What a command in a container answered. */
export interface ExecResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** There was more output than the limit; what is here is the beginning. */
  readonly truncated: boolean
}

/** Docker and what it can do. */
export interface DockerVersion {
  readonly kind: "docker" | "podman"
  /** Docker's own: `28.2.2`. */
  readonly version: string
  /** Of the API that it speaks to us: `1.50`. */
  readonly apiVersion: string
  readonly os: string
  /** In Go's names. */
  readonly architecture: string
  /** Where it was reached: `unix:///var/run/docker.sock`. */
  readonly endpoint: string
}

/** Docker's installation. */
export interface DockerInfo {
  /** Stays the same for one installation. */
  readonly id: string
  /** The machine's name. */
  readonly hostname: string
  /** Where images and containers are kept: `/var/lib/docker`. */
  readonly dataDirectory: string
  readonly storageDriver: string
  /** `runc`, `nvidia`. */
  readonly runtimes: ReadonlyArray<string>
  /** Names of devices of the Container Device Interface that Docker has found: `nvidia.com/gpu=0`. */
  readonly cdiDevices: ReadonlyArray<string>
  /** Docker can give containers CDI devices. */
  readonly cdi: boolean
  /** It is known to hand GPUs to containers; absent when only trying would tell. */
  readonly gpuReady?: boolean
  readonly containersRunning: number
  readonly images: number
}

/** An image on this machine. */
export interface ImageInfo {
  /** `sha256:…`. */
  readonly id: string
  readonly tags: ReadonlyArray<string>
  readonly digests: ReadonlyArray<string>
  /** Unpacked. */
  readonly sizeBytes: number
  readonly architecture: string
  readonly os: string
}
