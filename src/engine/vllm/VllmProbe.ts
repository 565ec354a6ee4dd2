/** What is asked of a running vLLM. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Asking from "../Asking.js"
import type { EngineAddress, EngineProbe } from "../EngineDriver.js"
import * as OpenAiProbe from "../OpenAiProbe.js"
import * as VllmLog from "./VllmLog.js"

/** `model` is the name that it is to answer to; empty where any will do. */
export const make = (
  address: EngineAddress & { readonly model: string },
  checkDeadline: Duration.Duration
): EngineProbe => {
  const get = Asking.getter(address, checkDeadline)
  return {
    ...OpenAiProbe.make({ ...address, healthPath: "/health" }, checkDeadline),
    load: Effect.orElseSucceed(Effect.map(get("/metrics"), VllmLog.loadOf), () => undefined)
  }
}
