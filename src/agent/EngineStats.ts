/** The stats of the requests to each engine, added to the report of its state. */
import type { EngineReport } from "../node/Node.js"
import type { InferenceRouter } from "../inference/InferenceRouter.js"

/** The reports, each with the stats of the requests that this agent relayed to that engine. */
export const added = (
  reports: ReadonlyArray<EngineReport>,
  router: Pick<InferenceRouter["Type"], "stats">
): ReadonlyArray<EngineReport> => reports.map((report) => ({ ...report, figures: router.stats(report.name) }))
