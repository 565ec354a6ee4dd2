/**
 * What Docker's and Podman's error messages mean. Their APIs have few codes, so the texts have to be read: a pattern a
 * line, with the messages it was written for in the test.
 *
 * Callers bound the text first (`DockerError` cuts details): patterns are linear on that, not on megabytes.
 */

interface Pattern<Condition> {
  readonly pattern: RegExp
  readonly read: (match: RegExpExecArray) => Condition
}

const line = <Condition>(
  pattern: RegExp,
  read: Condition | ((match: RegExpExecArray) => Condition)
): Pattern<Condition> => ({
  pattern,
  read: typeof read === "function" ? read as (match: RegExpExecArray) => Condition : () => read
})

/** The first line that matches. */
const firstOf = <Condition>(patterns: ReadonlyArray<Pattern<Condition>>, text: string): Condition | undefined => {
  for (const { pattern, read } of patterns) {
    const match = pattern.exec(text)
    if (match !== null) return read(match)
  }
  return undefined
}

const outOfDisk = /no space left on device|disk quota exceeded/i

/** Why a container could not be created. */
export type CreateCondition =
  | { readonly _tag: "OutOfDisk" }
  | { readonly _tag: "NameTaken"; readonly holder: string | undefined }
  | { readonly _tag: "NoSuchImage" }
  | { readonly _tag: "NoSuchPath"; readonly path: string }

const createLines: ReadonlyArray<Pattern<CreateCondition>> = [
  line(outOfDisk, { _tag: "OutOfDisk" }),
  line(/name "?\/?[^"\s]+"? is already in use(?: by (?:container )?"?([0-9a-f]{12,64})?)?/i, ([, holder]) => ({
    _tag: "NameTaken",
    holder
  })),
  line(/no such image|image not known|unable to find image/i, { _tag: "NoSuchImage" }),
  line(/bind source path does not exist:? (\S+)/i, ([, path = ""]) => ({ _tag: "NoSuchPath", path })),
  line(/statfs (\S+): no such file/i, ([, path = ""]) => ({ _tag: "NoSuchPath", path }))
]

export const ofCreate = (detail: string): CreateCondition | undefined => firstOf(createLines, detail)

/** Why a container did not start. */
export type StartCondition =
  | { readonly _tag: "OutOfDisk" }
  | { readonly _tag: "NoSuchDevice"; readonly device: string }
  | { readonly _tag: "PortTaken" }

const startLines: ReadonlyArray<Pattern<StartCondition>> = [
  line(outOfDisk, { _tag: "OutOfDisk" }),
  line(/error gathering device information while adding custom device "?(\/dev\/[^"\s:]*)/i, ([, device = ""]) => ({
    _tag: "NoSuchDevice",
    device
  })),
  line(/stat (\/dev\/[^\s:]+): no such file/i, ([, device = ""]) => ({ _tag: "NoSuchDevice", device })),
  line(/address already in use|port is already allocated|ports are not available/i, { _tag: "PortTaken" })
]

export const ofStart = (detail: string): StartCondition | undefined => firstOf(startLines, detail)

/**
 * Why GPUs could not be given to a container: `NoDriver` when nothing took the request, since the vendor's toolkit is not
 * installed or not known to Docker.
 */
export type GpuCondition = "NoDriver" | "NoSuchGpu" | "BrokenDriver" | "Other"

const gpuLines: ReadonlyArray<Pattern<GpuCondition>> = [
  line(/could not select device driver/i, "NoDriver"),
  line(/unknown device|unresolvable|no such device|invalid device|not found/i, "NoSuchGpu"),
  line(/driver not loaded|driver error|nvml error|initialization error/i, "BrokenDriver")
]

const aboutGpus = /could not select device driver|nvidia-container|libnvidia|CDI device|gpu=|amd-container/i

/** `undefined` when the message is not about GPUs. */
export const ofGpu = (detail: string): GpuCondition | undefined =>
  aboutGpus.test(detail) ? firstOf(gpuLines, detail) ?? "Other" : undefined

/** Whether a removal may go better in a moment: a process that was just killed still holds files. */
export const isBusy = (detail: string): boolean => /busy|driver [^\n]{0,200} failed to remove/i.test(detail)

/** Whether a container is being removed already. */
export const isBeingRemoved = (detail: string): boolean => /already in progress/i.test(detail)

/** Why an image could not be pulled, where another attempt cannot help. */
export type PullCondition = "OutOfDisk" | "NotFound" | "Denied" | "RateLimited" | "Unsupported"

const pullLines: ReadonlyArray<Pattern<PullCondition>> = [
  line(outOfDisk, "OutOfDisk"),
  line(/manifest unknown|no matching manifest|no match for platform|not found: manifest|name unknown/i, "NotFound"),
  line(/(?:manifest for|repository|failed to resolve reference) [^\n]* not found|does not exist/i, "NotFound"),
  line(/denied|unauthorized|authentication required|no basic auth credentials|403 forbidden/i, "Denied"),
  line(/toomanyrequests|pull rate limit|429 too many/i, "RateLimited"),
  line(/invalid reference format|unsupported media type|schema version 1|unsupported manifest/i, "Unsupported")
]

export const ofPull = (detail: string): PullCondition | undefined => firstOf(pullLines, detail)

/** Whether an image that was not found may exist for those who are logged in. */
export const mayNeedLogin = (detail: string): boolean => /denied|login|authoriz/i.test(detail)
