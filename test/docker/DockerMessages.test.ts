import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as DockerMessages from "../../src/docker/DockerMessages.js"

describe("Docker's messages about creating a container", () => {
  for (
    const [message, condition] of [
      ["write /var/lib/docker/x: no space left on device", { _tag: "OutOfDisk" }],
      ["mkdir /var/lib/docker/overlay2/x: disk quota exceeded", { _tag: "OutOfDisk" }],
      [
        "Conflict. The container name \"/orchion-vllm\" is already in use by container \"0123456789abcdef\". You have to remove it.",
        { _tag: "NameTaken", holder: "0123456789abcdef" }
      ],
      [
        "creating container storage: the container name \"orchion-vllm\" is already in use by 0123456789ab. You have to remove that container",
        { _tag: "NameTaken", holder: "0123456789ab" }
      ],
      ["No such image: some/image:tag", { _tag: "NoSuchImage" }],
      ["some/image:tag: image not known", { _tag: "NoSuchImage" }],
      ["Unable to find image 'some/image:tag' locally", { _tag: "NoSuchImage" }],
      [
        "invalid mount config for type \"bind\": bind source path does not exist: /no/such",
        { _tag: "NoSuchPath", path: "/no/such" }
      ],
      ["statfs /no/such: no such file or directory", { _tag: "NoSuchPath", path: "/no/such" }],
      ["something new", undefined]
    ] as const
  ) {
    it(`mean ${condition?._tag ?? "nothing in particular"}: ${message}`, () =>
      assert.deepStrictEqual<unknown>(DockerMessages.ofCreate(message), condition))
  }
})

describe("Docker's messages about starting a container", () => {
  for (
    const [message, condition] of [
      ["failed to create shim: no space left on device", { _tag: "OutOfDisk" }],
      [
        "error gathering device information while adding custom device \"/dev/kfd\": no such file or directory",
        { _tag: "NoSuchDevice", device: "/dev/kfd" }
      ],
      ["stat /dev/dri: no such file or directory", { _tag: "NoSuchDevice", device: "/dev/dri" }],
      ["listen tcp4 127.0.0.1:80: bind: address already in use", { _tag: "PortTaken" }],
      ["Bind for 0.0.0.0:80 failed: port is already allocated", { _tag: "PortTaken" }],
      ["Ports are not available: exposing port TCP 0.0.0.0:80", { _tag: "PortTaken" }],
      ["exec: \"nothing\": executable file not found in $PATH", undefined]
    ] as const
  ) {
    it(`mean ${condition?._tag ?? "nothing in particular"}: ${message}`, () =>
      assert.deepStrictEqual<unknown>(DockerMessages.ofStart(message), condition))
  }
})

describe("Docker's messages about GPUs", () => {
  for (
    const [message, condition] of [
      ["could not select device driver \"nvidia\" with capabilities: [[gpu]]", "NoDriver"],
      ["nvidia-container-cli: device error: 7: unknown device: unknown", "NoSuchGpu"],
      ["CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=9", "NoSuchGpu"],
      ["nvidia-container-cli: initialization error: nvml error: driver not loaded", "BrokenDriver"],
      ["nvidia-container-cli: mount error: failed to add device rules", "Other"],
      ["libnvidia-ml.so.1: cannot open shared object file", "Other"],
      ["address already in use", undefined]
    ] as const
  ) {
    it(`mean ${condition ?? "something else"}: ${message}`, () =>
      assert.strictEqual(DockerMessages.ofGpu(message), condition))
  }
})

describe("messages about pulling an image", () => {
  for (
    const [message, condition] of [
      ["failed to register layer: write /x: no space left on device", "OutOfDisk"],
      ["manifest unknown: manifest unknown", "NotFound"],
      ["manifest for some/image:tag not found: manifest unknown", "NotFound"],
      ["no matching manifest for linux/arm64/v8 in the manifest list entries", "NotFound"],
      ["no match for platform in manifest: not found", "NotFound"],
      ["name unknown: repository name not known to registry", "NotFound"],
      ["failed to resolve reference \"docker.io/a/b:c\": docker.io/a/b:c: not found", "NotFound"],
      ["pull access denied for a/b, repository does not exist or may require 'docker login'", "NotFound"],
      ["denied: requested access to the resource is denied", "Denied"],
      ["unauthorized: authentication required", "Denied"],
      ["no basic auth credentials", "Denied"],
      ["unexpected status from HEAD request: 403 Forbidden", "Denied"],
      ["toomanyrequests: You have reached your unauthenticated pull rate limit.", "RateLimited"],
      ["invalid reference format", "Unsupported"],
      ["unsupported media type application/vnd.oci.empty.v1+json", "Unsupported"],
      [
        "Docker Image Format v1 and Docker Image manifest version 2, schema version 1 support is disabled",
        "Unsupported"
      ],
      ["Get \"https://registry-1.docker.io/v2/\": net/http: TLS handshake timeout", undefined]
    ] as const
  ) {
    it(`mean ${condition ?? "that another attempt may help"}: ${message}`, () =>
      assert.strictEqual(DockerMessages.ofPull(message), condition))
  }
})

describe("any message", () => {
  it("is read in time that its bounded length allows, whatever is in it", () => {
    const words = FastCheck.constantFrom(
      "manifest for ",
      "repository ",
      " not found",
      "name \"/a",
      "is already in use by ",
      "driver ",
      "failed to remove",
      "stat /dev/",
      "bind source path does not exist: ",
      "\n",
      " ",
      "\u0000"
    )
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.oneof(words, FastCheck.string()), { maxLength: 200 }),
      FastCheck.integer({ min: 1, max: 50 }),
      (parts, times) => {
        const text = parts.join("").repeat(times).slice(0, 2_000)
        const begun = performance.now()
        DockerMessages.ofCreate(text)
        DockerMessages.ofStart(text)
        DockerMessages.ofGpu(text)
        DockerMessages.ofPull(text)
        DockerMessages.isBusy(text)
        assert.isBelow(performance.now() - begun, 100)
      }
    ))
  })

  it("distinguishes transient failures from lasting ones", () => {
    assert.isTrue(DockerMessages.isBusy("unlinkat /x: device or resource busy"))
    assert.isTrue(DockerMessages.isBusy("driver \"overlay2\" failed to remove root filesystem"))
    assert.isFalse(DockerMessages.isBusy("no such container"))
    assert.isTrue(DockerMessages.isBeingRemoved("removal of container abc is already in progress"))
    assert.isTrue(DockerMessages.mayNeedLogin("pull access denied"))
    assert.isFalse(DockerMessages.mayNeedLogin("manifest unknown"))
  })
})
