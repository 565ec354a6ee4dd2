/** The JSON Schema of what `node-agent capabilities --json` prints. */
import * as JSONSchema from "effect/JSONSchema"
import { NodeCapabilities } from "./CapabilitiesSchema.js"

/** Makes the schema (draft 7) of the encoded form of {@link NodeCapabilities}. */
export const make = (): JSONSchema.JsonSchema7Root => JSONSchema.make(NodeCapabilities)
