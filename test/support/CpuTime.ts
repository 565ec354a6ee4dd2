/** Processor time of this process, which other programs on a busy machine do not lengthen as they do wall time. */

/** Milliseconds of user time that a synchronous function takes: the least of three runs. */
export const millisOf = (run: () => unknown): number =>
  Math.min(...[0, 1, 2].map(() => {
    const before = process.cpuUsage()
    run()
    return process.cpuUsage(before).user / 1000
  }))
