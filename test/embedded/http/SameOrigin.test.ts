import { assert, describe, it } from "@effect/vitest"
import { isProgram, refusal } from "../../../src/embedded/http/SameOrigin.js"

const answers = (bindAddress: string, host: string | undefined) =>
  refusal(host === undefined ? {} : { host }, { bindAddress, hostname: "Box7" }) === undefined

describe("which names a server answers to", () => {
  it("on a loopback address, only those that mean this machine to everyone", () => {
    for (const bindAddress of ["127.0.0.1", "::1", "localhost"]) {
      assert.isTrue(answers(bindAddress, "LOCALHOST:8080"))
      assert.isTrue(answers(bindAddress, "127.0.0.1:1"))
      assert.isFalse(answers(bindAddress, "box7"))
      assert.isFalse(answers(bindAddress, "192.168.1.7:8080"))
    }
  })

  it("on all addresses, also addresses and the machine's own name", () => {
    for (const bindAddress of ["0.0.0.0", "::"]) {
      for (const host of ["192.168.1.7:8080", "[fd00::7]:8080", "box7:8080", "box7.local", "localhost"]) {
        assert.isTrue(answers(bindAddress, host), host)
      }
      for (const host of ["box7.evil.example", "evil.example", "192.168.1.7.evil.example"]) {
        assert.isFalse(answers(bindAddress, host), host)
      }
    }
  })

  it("never a request that does not say", () => {
    assert.isFalse(answers("0.0.0.0", undefined))
    assert.isFalse(answers("127.0.0.1", ""))
    assert.isFalse(answers("127.0.0.1", "localhost:8080@evil.example"))
  })

  it("distinguishes programs from pages", () => {
    assert.isTrue(isProgram({ host: "evil.example", "user-agent": "curl/8.5.0" }))
    // Node's own fetch.
    assert.isTrue(isProgram({ "sec-fetch-mode": "cors", "user-agent": "node", "accept-language": "*" }))
    assert.isFalse(isProgram({ origin: "http://evil.example" }))
    assert.isFalse(isProgram({ "sec-fetch-site": "same-origin" }))
    assert.isFalse(isProgram({ "user-agent": "Mozilla/5.0 (X11; Linux x86_64)" }))
  })

  it("says how to reach it instead", () => {
    const names = { bindAddress: "0.0.0.0", hostname: "box7" }
    assert.include(refusal({ host: "evil.example" }, names), "use localhost, box7 or an address of this machine")
    assert.include(refusal({ host: "evil.example" }, { ...names, bindAddress: "127.0.0.1" }), "use localhost")
  })
})
