/** The gRPC standard's health service: what load balancers and `grpc_health_probe` ask. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as GrpcError from "./GrpcError.js"
import * as GrpcServer from "./GrpcServer.js"
import * as Printable from "../text/Printable.js"
import { HealthService } from "../proto/OrchionV1.js"

export interface Health {
  readonly service: GrpcServer.ServedService<never>
  readonly setServing: (serving: boolean) => Effect.Effect<void>
}

/** Serving by default, under each of the names and as a whole. */
export const make = (names: ReadonlyArray<string>): Effect.Effect<Health> =>
  Effect.map(SubscriptionRef.make(true), (serving) => {
    const known = (name: string) => name === "" || names.includes(name)
    const answer = (serving: boolean) => ({ status: serving ? "SERVING" as const : "NOT_SERVING" as const })
    return {
      setServing: (value) => SubscriptionRef.set(serving, value),
      service: GrpcServer.serve(HealthService)({
        Check: ({ service }) =>
          known(service)
            ? Effect.map(SubscriptionRef.get(serving), answer)
            : Effect.fail(
              GrpcError.fail(
                GrpcError.Status.NOT_FOUND,
                `there is no service '${Printable.oneLine(service, 200)}' here; there are ${names.join(", ")}`
              )
            ),
        Watch: ({ service }) =>
          known(service)
            ? Stream.map(Stream.changes(serving.changes), answer)
            : Stream.concat(Stream.make({ status: "SERVICE_UNKNOWN" as const }), Stream.never)
      })
    }
  })
