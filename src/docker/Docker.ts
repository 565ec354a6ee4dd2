/** The port to a container runtime: Docker, or Podman through its compatible API. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Container from "./api/Container.js"
import type * as ContainerEvents from "./ContainerEvents.js"
import type * as ContainerExec from "./ContainerExec.js"
import type * as ContainerLogs from "./ContainerLogs.js"
import type * as ContainerRun from "./ContainerRun.js"
import type * as ContainerSpec from "./ContainerSpec.js"
import type * as DockerError from "./api/DockerError.js"
import type * as ImagePull from "./ImagePull.js"
import type * as LogFrames from "./LogFrames.js"

type Known<A> = Effect.Effect<A, DockerError.DockerError | DockerError.ContainerNotFound>

/**
 * The container runtime of this machine.
 *
 * Nothing is asked of it before the first use, and it may come, go and come back: each call says how that went. Every
 * call has a deadline. What is so already (stopping what has stopped, removing what is gone) is success. Containers are
 * named by id or name.
 */
export class Docker extends Context.Tag("@orchion/node-agent/Docker")<
  Docker,
  {
    /** Whether it answers. */
    readonly ping: Effect.Effect<void, DockerError.DockerError>
    readonly version: Effect.Effect<Container.DockerVersion, DockerError.DockerError>
    readonly info: Effect.Effect<Container.DockerInfo, DockerError.DockerError>

    /** Fails with `ImageNotFound` when this machine does not have it. */
    readonly inspectImage: (
      image: string
    ) => Effect.Effect<Container.ImageInfo, DockerError.DockerError | DockerError.ImageNotFound>
    /**
     * Pulls an image, and reports the progress. The stream ends when the image is here; the last element's phase is
     * `complete`. A slow reader sees the newest state. All who pull one image share one pull, which is given up when
     * the last of them leaves.
     */
    readonly pull: (
      image: string,
      options?: ImagePull.PullOptions
    ) => Stream.Stream<ImagePull.PullProgress, DockerError.PullError>

    /**
     * Creates and starts a container that outlives this process, to be adopted or removed by the next one. A container
     * that does not start, or whose start is interrupted, is removed. Pulls nothing.
     */
    readonly run: (
      spec: ContainerSpec.ContainerSpec
    ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError>
    /** Like `run`; the container is stopped and removed with the scope. */
    readonly runScoped: (
      spec: ContainerSpec.ContainerSpec,
      options?: ContainerRun.ReleaseOptions
    ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError, Scope.Scope>
    /** Takes over a container that is there already: it is stopped and removed with the scope. */
    readonly adoptScoped: (
      container: string,
      options?: ContainerRun.ReleaseOptions
    ) => Effect.Effect<
      Container.ContainerInfo,
      DockerError.DockerError | DockerError.ContainerNotFound,
      Scope.Scope
    >

    readonly inspect: (container: string) => Known<Container.ContainerInfo>
    /** All containers with these labels, the stopped ones too. */
    readonly list: (
      labels: Readonly<Record<string, string>>
    ) => Effect.Effect<ReadonlyArray<Container.ContainerSummary>, DockerError.DockerError>
    /** Sends the stop signal, and kills after the grace. Answers when the container has ended. */
    readonly stop: (
      container: string,
      options?: ContainerRun.ReleaseOptions
    ) => Effect.Effect<void, DockerError.DockerError>
    /** Sends a signal, `SIGKILL` by default. A container that does not run needs none. */
    readonly kill: (container: string, signal?: string) => Known<void>
    /** With its volumes that have no name. One that runs is removed by `force` only. */
    readonly remove: (
      container: string,
      options?: { readonly force?: boolean }
    ) => Effect.Effect<void, DockerError.DockerError>
    /**
     * Waits for a container's end, through any absence of Docker. Fails with `ContainerNotFound` when it was
     * removed before its end could be seen.
     */
    readonly wait: (container: string) => Known<Container.ContainerExit>
    /**
     * What it writes. Memory is bounded: long lines are cut, and Docker is slowed to the reader's pace. With
     * `follow`, continues across reconnects without repeating a line, and ends with the container.
     */
    readonly logs: (
      container: string,
      options?: ContainerLogs.LogOptions
    ) => Stream.Stream<LogFrames.LogLine, DockerError.DockerError | DockerError.ContainerNotFound>
    /** One measurement, which takes Docker a second or two. */
    readonly stats: (container: string) => Known<Container.ContainerStats>
    /** Runs a command in a running container. */
    readonly exec: (
      container: string,
      command: ReadonlyArray<string>,
      options?: ContainerExec.ExecOptions
    ) => Effect.Effect<Container.ExecResult, ContainerExec.ExecError>
    /** Watches the containers with these labels: all of them first, then each change. Never ends and never fails. */
    readonly events: (labels: Readonly<Record<string, string>>) => Stream.Stream<ContainerEvents.ContainerEvent>
  }
>() {}
