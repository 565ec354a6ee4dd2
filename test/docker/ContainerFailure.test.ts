import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as DockerError from "../../src/docker/api/DockerError.js"
import * as ContainerFailure from "../../src/docker/ContainerFailure.js"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"

describe("a container that Docker refuses", () => {
  const secret = "p\"ss wörd/1"
  const spec = Either.getOrThrow(ContainerSpec.make({
    name: "orchion-test",
    image: "some/image",
    secrets: { TOKEN: secret, OTHER: "ab", PART: "p\"ss" }
  }))
  const refused = (detail: string, status = 500) =>
    new DockerError.DockerRequestFailed({ endpoint: "unix:///x", operation: "create", status, detail })

  it("is reported without its secrets, in whatever form Docker quotes them", () => {
    for (
      const form of [
        secret,
        JSON.stringify(secret).slice(1, -1),
        encodeURIComponent(secret),
        Buffer.from(secret).toString("base64")
      ]
    ) {
      const shown = [
        ContainerFailure.ofCreate(spec, refused(`invalid environment: TOKEN=${form}`)).message,
        ContainerFailure.ofStart(spec, refused(`cannot start: TOKEN=${form}`), 1).message,
        ContainerFailure.ofStart(spec, refused(`no space left on device: ${form}`), 1).message
      ]
      for (const message of shown) {
        assert.notInclude(message, form)
        assert.notInclude(message, secret)
      }
    }
  })

  it("keeps words that are only as short as a secret", () => {
    assert.include(ContainerFailure.ofStart(spec, refused("cannot grab it"), 1).message, "grab")
  })
})
