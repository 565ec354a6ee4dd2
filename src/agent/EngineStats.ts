/** What came of the requests to each engine, beside what is reported of its state. */
import type { EngineReport } from "../node/Node.js"
import type { InferenceRouter } from "../inference/InferenceRouter.js"

/** Of engines that are asked through the agent. */
export const added = (
  reports: ReadonlyArray<EngineReport>,
  router: Pick<InferenceRouter["Type"], "stats">
): ReadonlyArray<EngineReport> =>
  reports.map((report) =>
    report.name === "vllm" || report.name === "ollama" ? { ...report, figures: router.stats(report.name) } : report
  )
