import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as ImageReference from "../../../src/docker/api/ImageReference.js"

const digest = `sha256:${"0123456789abcdef".repeat(4)}`

const canonical = (text: string) => Either.map(ImageReference.parse(text), (reference) => reference.canonical)

describe("names of images", () => {
  it("are completed as Docker completes them", () => {
    for (
      const [text, expected] of [
        ["alpine", "docker.io/library/alpine:latest"],
        ["alpine:3.20", "docker.io/library/alpine:3.20"],
        ["docker.io/alpine", "docker.io/library/alpine:latest"],
        ["index.docker.io/library/alpine", "docker.io/library/alpine:latest"],
        ["vllm/vllm-openai:v0.9.0", "docker.io/vllm/vllm-openai:v0.9.0"],
        ["ghcr.io/owner/name", "ghcr.io/owner/name:latest"],
        ["localhost/name", "localhost/name:latest"],
        ["registry:5000/a/b/c:T_1.x-y", "registry:5000/a/b/c:T_1.x-y"],
        [`alpine@${digest}`, `docker.io/library/alpine@${digest}`],
        [`alpine:3.20@${digest}`, `docker.io/library/alpine@${digest}`]
      ] as const
    ) assert.deepStrictEqual(canonical(text), Either.right(expected), text)
  })

  it("are refused with the reason when they cannot be", () => {
    for (
      const [text, reason] of [
        ["", "it is empty"],
        ["my image", "spaces"],
        ["line\nbreak", "spaces"],
        ["Ollama/ollama", "lower case"],
        ["name:", "tag"],
        [`name:${"x".repeat(129)}`, "tag"],
        ["name@sha256:12", "not a digest"],
        ["a//b", "should look like"],
        ["-name", "should look like"],
        ["name\u0007", "should look like"],
        ["bad_host.example/x/../y", "registry's host"],
        ["x".repeat(600), "too long"]
      ] as const
    ) {
      const parsed = ImageReference.parse(text)
      assert.isTrue(Either.isLeft(parsed), JSON.stringify(text))
      if (Either.isLeft(parsed)) {
        assert.include(parsed.left.message, reason)
        assert.strictEqual(parsed.left.field, "image")
      }
    }
  })
})
