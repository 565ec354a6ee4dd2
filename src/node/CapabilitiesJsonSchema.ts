/** The JSON Schema of what `node-agent capabilities --json` prints. */
import * as JSONSchema from "effect/JSONSchema"
import { NodeCapabilities } from "./CapabilitiesSchema.js"

/** Programs with schemas of their own tell ours apart by it; within one document it says nothing. */
const prefix = /@orchion(?:\/|~1)node-agent(?:\/|~1)/g

/** Makes the schema (draft 7) of the encoded form of {@link NodeCapabilities}. */
export const make = (): JSONSchema.JsonSchema7Root =>
  JSON.parse(JSON.stringify(JSONSchema.make(NodeCapabilities)).replace(prefix, ""))
