/** No container engine, for agents that run none: whoever asks it for something has a mistake. */
import * as Layer from "effect/Layer"
import { Docker } from "../../src/docker/Docker.js"

export const layer = Layer.mock(Docker, {})
