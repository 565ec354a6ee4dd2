/** What came of the requests to each engine, beside what is reported of its state. */
import type { EngineReport } from "../node/Node.js"
import type { InferenceRouter } from "../inference/InferenceRouter.js"

/** The reports with the counts of the requests that this agent relayed. */
export const added = (
  reports: ReadonlyArray<EngineReport>,
  router: Pick<InferenceRouter["Type"], "stats">
): ReadonlyArray<EngineReport> => reports.map((report) => ({ ...report, figures: router.stats(report.name) }))
