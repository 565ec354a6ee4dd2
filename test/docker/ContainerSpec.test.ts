import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import * as CreateRequest from "../../src/docker/CreateRequest.js"

const base: ContainerSpec.ContainerSpecInput = {
  name: "orchion-test",
  image: "vllm/vllm-openai:v1",
  labels: { owner: "me" }
}

const make = (input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
  Either.getOrThrow(ContainerSpec.make({ ...base, ...input }))

const reason = (input: Record<string, unknown>): string => {
  const made = ContainerSpec.make({ ...base, ...input })
  return Either.isLeft(made) ? made.left.message : "no failure"
}

describe("the description of a container", () => {
  it("is refused in one line that names the field and the value", () => {
    for (
      const [input, expected] of [
        [{ memoryBytes: -1 }, "memoryBytes: -1 is not a positive whole number of bytes."],
        [{ memoryBytes: 1024 }, "memoryBytes: 1024 bytes are less than 6 MiB."],
        [{ shmBytes: 0.5 }, "shmBytes: 0.5 is not a positive whole number of bytes."],
        [{ cpus: 0 }, "cpus: 0 is not a number of cores."],
        [{ cpus: Number.NaN }, "cpus: null is not a number of cores."],
        [{ image: "no such image" }, "image: \"no such image\" is not an image name: it has spaces in it."],
        [{ ports: [{ container: 8000, host: 70_000 }] }, "ports[0].host: 70000 is not a port."],
        [{ ports: [{ container: 8000, hostIp: "localhost" }] }, "ports[0].hostIp: \"localhost\" is not an IP address."],
        [
          { ports: [{ container: 1, host: 80 }, { container: 2, host: 80 }] },
          "ports[1].host: 80/tcp is given out already, by ports[0]."
        ],
        [
          { mounts: [{ _tag: "Bind", source: "models", target: "/models" }] },
          "mounts[0].source: \"models\" is not an absolute path."
        ],
        [
          { mounts: [{ _tag: "Volume", name: "../x", target: "/models" }] },
          "mounts[0].name: \"../x\" is not the name of a volume."
        ],
        [
          { mounts: [{ _tag: "Tmpfs", target: "/a" }, { _tag: "Volume", name: "ab", target: "/a" }] },
          "mounts[1].target: /a is where mounts[0] is mounted already."
        ],
        [{ command: ["a\0b"] }, "command[0]: it contains a NUL character."],
        [{ env: { "A=B": "1" } }, "env: \"A=B\" is not the name of an environment variable."],
        [{ env: { A: "1" }, secrets: { A: "2" } }, "secrets.A: A is in env as well; it can have one value only."],
        [
          { labels: { "io.orchion.spec-hash": "0" } },
          "labels: io.orchion.spec-hash is set when the container is created."
        ],
        [{ name: "a b" }, "name: \"a b\" is not the name of a container: 2 to 128 letters"],
        [{ name: "x".repeat(129) }, "name: \"xxx"],
        [{ capAdd: ["sys nice"] }, "capAdd[0]: \"sys nice\" is not a Linux capability."],
        [{ gpus: { vendor: "nvidia", devices: [] } }, "gpus.devices: no GPU is named"],
        [{ gpus: { vendor: "nvidia", devices: ["0", "0"] } }, "gpus.devices: 0 is named twice."],
        [{ gpus: { vendor: "nvidia", devices: ["a b"] } }, "gpus.devices: \"a b\" is not an index or uuid of a GPU."],
        [
          { devices: [{ host: "/dev/kfd", permissions: "rr" }] },
          "devices[0].permissions: \"rr\" is not made of r, w and m."
        ],
        [{ network: "host", ports: [{ container: 80 }] }, "ports: with network \"host\""],
        [{ memroyBytes: 1 }, "memroyBytes: is unexpected"]
      ] as const
    ) assert.include(reason(input), `Invalid container: ${expected}`)
  })

  it("never shows a secret when it is refused or printed", () => {
    assert.notInclude(reason({ secrets: { HF_TOKEN: "hf_secret\0" } }), "hf_secret")
    const spec = make({ secrets: { HF_TOKEN: "hf_secret" } })
    assert.notInclude(JSON.stringify(spec), "hf_secret")
    assert.notInclude(String(spec), "hf_secret")
    assert.notInclude(JSON.stringify(ContainerSpec.labels(spec)), "hf_secret")
  })

  it("survives being written down", () => {
    const spec = make({ secrets: { A: "b" }, ports: [{ container: 80 }], mounts: [{ _tag: "Tmpfs", target: "/x" }] })
    const written: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(ContainerSpec.ContainerSpec)(spec)))
    const read = Schema.decodeUnknownSync(ContainerSpec.ContainerSpec)(written)
    assert.strictEqual(ContainerSpec.hash(read), ContainerSpec.hash(spec))
  })
})

describe("a spec's hash", () => {
  it("is the same for the same container, however it was written", () => {
    assert.match(ContainerSpec.hash(make()), /^[0-9a-f]{64}$/)
    assert.strictEqual(
      ContainerSpec.hash(make({ env: { A: "1", B: "2" }, init: true })),
      ContainerSpec.hash(make({ env: { B: "2", A: "1" } }))
    )
  })

  it("stays the same over versions of the agent", () => {
    // Another value makes every agent replace its running engines: change it knowingly.
    assert.strictEqual(
      ContainerSpec.hash(make()),
      "bdc1aaba603f8461b0f3ff8f62649cb672a9f7eaa16d9e97f7fcb7e049ef8954"
    )
  })

  it("differs with each thing that makes another container", () => {
    const variants: ReadonlyArray<Partial<ContainerSpec.ContainerSpecInput>> = [
      {},
      { image: "vllm/vllm-openai:v2" },
      { command: ["a", "b"] },
      { command: ["a b"] },
      { command: [] },
      { env: { A: "1" } },
      { secrets: { A: "1" } },
      { secrets: { A: "2" } },
      { secrets: { B: "1" } },
      { ports: [{ container: 8000 }] },
      { ports: [{ container: 8000, hostIp: "0.0.0.0" }] },
      { gpus: { vendor: "nvidia", devices: "all" } },
      { gpus: { vendor: "nvidia", devices: ["0"] } },
      { memoryBytes: 2 ** 30 },
      { name: "another" },
      { labels: { owner: "you" } },
      { capDrop: ["ALL"] }
    ]
    assert.strictEqual(new Set(variants.map((variant) => ContainerSpec.hash(make(variant)))).size, variants.length)
  })
})

describe("what Docker is asked for", () => {
  const body = (
    input: Partial<ContainerSpec.ContainerSpecInput>,
    options: Partial<CreateRequest.CreateOptions> = {}
  ): Record<string, unknown> =>
    CreateRequest.body(make(input), { kind: "docker", gpuMethod: "hook", runId: "run", ...options })
  const host = (
    input: Partial<ContainerSpec.ContainerSpecInput>,
    options: Partial<CreateRequest.CreateOptions> = {}
  ) => body(input, options)["HostConfig"]

  it("is safe and bounded when nothing is said", () => {
    const spec = make()
    assert.deepStrictEqual(body({}), {
      Image: "vllm/vllm-openai:v1",
      Labels: {
        owner: "me",
        "io.orchion.spec-hash": ContainerSpec.hash(spec),
        "io.orchion.run-id": "run"
      },
      StopTimeout: 10,
      ExposedPorts: {},
      HostConfig: {
        RestartPolicy: { Name: "no" },
        LogConfig: { Type: "json-file", Config: { "max-size": "10485760", "max-file": "3" } },
        Init: true,
        IpcMode: "private",
        Privileged: false,
        PortBindings: {},
        SecurityOpt: ["no-new-privileges"]
      }
    })
  })

  it("is everything that the spec says", () => {
    const { HostConfig, Labels, ...rest } = body({
      entrypoint: ["vllm"],
      command: ["serve"],
      env: { A: "1" },
      secrets: { T: "s" },
      ports: [{ container: 8000, host: 80 }, { container: 8000, hostIp: "::1" }, { container: 53, protocol: "udp" }],
      mounts: [
        { _tag: "Volume", name: "weights", target: "/w" },
        { _tag: "Bind", source: "/h", target: "/b", readOnly: true },
        { _tag: "Tmpfs", target: "/t", sizeBytes: 4096 }
      ],
      devices: [{ host: "/dev/kfd" }, { host: "/dev/dri", container: "/dri", permissions: "r" }],
      groups: [44, 110],
      memoryBytes: 2 ** 30,
      cpus: 1.5,
      pidsLimit: 100,
      shmBytes: 2 ** 26,
      ulimits: [{ name: "memlock", soft: -1, hard: -1 }],
      capAdd: ["SYS_NICE"],
      capDrop: ["ALL"],
      securityOptions: ["seccomp=unconfined"],
      noNewPrivileges: false,
      user: "1000",
      workingDirectory: "/w",
      stopSignal: "SIGINT",
      stopTimeoutSeconds: 60,
      logs: { maxBytes: 1000, files: 1 },
      labels: { mine: "yes" },
      network: "bridge",
      init: false,
      privileged: true
    })
    assert.deepStrictEqual(rest, {
      Image: "vllm/vllm-openai:v1",
      Entrypoint: ["vllm"],
      Cmd: ["serve"],
      User: "1000",
      WorkingDir: "/w",
      StopSignal: "SIGINT",
      Env: ["A=1", "T=s"],
      StopTimeout: 60,
      ExposedPorts: { "8000/tcp": {}, "53/udp": {} }
    })
    assert.deepInclude(Labels, { mine: "yes" })
    assert.deepStrictEqual(HostConfig, {
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "1000", "max-file": "1" } },
      Init: false,
      IpcMode: "private",
      Privileged: true,
      PortBindings: {
        "8000/tcp": [{ HostIp: "127.0.0.1", HostPort: "80" }, { HostIp: "::1", HostPort: "" }],
        "53/udp": [{ HostIp: "127.0.0.1", HostPort: "" }]
      },
      NetworkMode: "bridge",
      Memory: 2 ** 30,
      MemorySwap: 2 ** 30,
      NanoCpus: 1_500_000_000,
      PidsLimit: 100,
      ShmSize: 2 ** 26,
      Mounts: [
        { Type: "volume", Source: "weights", Target: "/w", ReadOnly: false },
        { Type: "bind", Source: "/h", Target: "/b", ReadOnly: true },
        { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 4096 } }
      ],
      Devices: [
        { PathOnHost: "/dev/kfd", PathInContainer: "/dev/kfd", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/dri", PathInContainer: "/dri", CgroupPermissions: "r" }
      ],
      GroupAdd: ["44", "110"],
      CapAdd: ["SYS_NICE"],
      CapDrop: ["ALL"],
      SecurityOpt: ["seccomp=unconfined"],
      Ulimits: [{ Name: "memlock", Soft: -1, Hard: -1 }]
    })
  })

  it("is GPUs by the vendor's hook, by count or by id and never both", () => {
    assert.deepInclude(host({ gpus: { vendor: "nvidia", devices: "all" } }), {
      DeviceRequests: [{ Driver: "nvidia", Count: -1, Capabilities: [["gpu"]] }]
    })
    assert.deepInclude(host({ gpus: { vendor: "nvidia", devices: ["0", "GPU-1"] } }), {
      DeviceRequests: [{ Driver: "nvidia", DeviceIDs: ["0", "GPU-1"], Capabilities: [["gpu"]] }]
    })
  })

  it("is GPUs by the Container Device Interface, where that is the way", () => {
    assert.deepInclude(host({ gpus: { vendor: "nvidia", devices: "all" } }, { gpuMethod: "cdi" }), {
      DeviceRequests: [{ Driver: "cdi", DeviceIDs: ["nvidia.com/gpu=all"] }]
    })
    assert.deepInclude(host({ gpus: { vendor: "amd", devices: ["0", "1"] } }, { gpuMethod: "cdi" }), {
      DeviceRequests: [{ Driver: "cdi", DeviceIDs: ["amd.com/gpu=0", "amd.com/gpu=1"] }]
    })
  })

  it("leaves out what Podman does not know", () => {
    assert.deepInclude(host({}, { kind: "podman" }), {
      LogConfig: { Type: "json-file", Config: { "max-size": "10485760" } }
    })
  })

  it("shares the machine's shared memory without a size of its own", () => {
    const config = host({ ipc: "host", shmBytes: 2 ** 26 })
    assert.deepInclude(config, { IpcMode: "host" })
    assert.notProperty(config, "ShmSize")
  })
})
