/** How far a pull is, from what Docker says about each layer. */
import type * as DockerApi from "./api/DockerApi.js"

/** How far a pull is. Sizes are of the layers as they are sent, in bytes. */
export interface PullProgress {
  /** As it was asked for. */
  readonly image: string
  /**
   * `resolving` until the registry has answered, `downloading` while bytes are still to come, `extracting` when all are
   * here, `waiting` between two attempts, and at last `complete`.
   */
  readonly phase: "resolving" | "downloading" | "extracting" | "waiting" | "complete"
  readonly layers: {
    /** All that the image has, as far as Docker has named them. */
    readonly total: number
    /** Those that were here before. */
    readonly existing: number
    /** Those fetched by now, the extracted ones included. */
    readonly downloaded: number
    readonly extracted: number
  }
  /** Of the layers that had to be fetched. */
  readonly downloadedBytes: number
  readonly extractedBytes: number
  /** Of the layers whose size is known by now: it grows while Docker still has layers to begin with. */
  readonly totalBytes: number
  /** Every layer's size is known, so that `totalBytes` will not grow. */
  readonly totalKnown: boolean
  /** From 1. */
  readonly attempt: number
  /** While `waiting`: why, and for how many milliseconds. */
  readonly retry?: { readonly reason: string; readonly delay: number }
}

type Line = typeof DockerApi.PullLine.Type

interface Layer {
  readonly stage: "pending" | "downloading" | "downloaded" | "extracting" | "extracted" | "existing"
  readonly downloaded: number
  readonly extracted: number
  /** 0 while unknown. */
  readonly size: number
}

const untouched: Layer = { stage: "pending", downloaded: 0, extracted: 0, size: 0 }

/** An image has 127 layers at most; what is beyond this is not counted. */
export const maxLayers = 1_000

/** One attempt's view of an image's layers. */
export interface PullPicture {
  readonly layers: Map<string, Layer>
  /** Layers that this attempt has fetched. */
  fetched: number
}

export const empty = (): PullPicture => ({ layers: new Map(), fetched: 0 })

/** A size as it can be: 64 bits of Docker's may be negative, or beyond what a number holds. */
const size = (value: number | undefined): number =>
  value === undefined || !(value > 0) ? 0 : Math.min(value, Number.MAX_SAFE_INTEGER)

/** What one line of progress makes of its layer. Statuses that mean nothing to us leave it as it is. */
const advance = (layer: Layer, line: Line): Layer => {
  const bytes = line.progressDetail?.units === undefined ? line.progressDetail : undefined
  const total = Math.max(layer.size, size(bytes?.total))
  switch (line.status ?? "") {
    case "Downloading":
      return { ...layer, stage: "downloading", downloaded: size(bytes?.current), size: total }
    case "Verifying Checksum":
    case "Download complete":
      return { ...layer, stage: "downloaded", downloaded: total, size: total }
    case "Extracting":
      // Where Docker counts seconds instead of bytes, each is a sign of life all the same.
      return {
        stage: "extracting",
        downloaded: total,
        extracted: bytes === undefined ? layer.extracted : Math.min(size(bytes.current), total),
        size: total
      }
    case "Pull complete":
      return { stage: "extracted", downloaded: total, extracted: total, size: total }
    case "Already exists":
    case "Mounted from":
      return { ...untouched, stage: "existing" }
    default:
      return layer
  }
}

const isDone = (layer: Layer) => layer.stage === "extracted" || layer.stage === "existing"

const isFetched = (layer: Layer) => layer.stage !== "pending" && layer.stage !== "downloading"

/** Whether all layers that are known are here, so that only unpacking is left. */
export const isAllFetched = ({ layers }: PullPicture): boolean =>
  layers.size > 0 && [...layers.values()].every(isFetched)

/** Takes in a line of progress. True when it is a sign of life. */
export const take = (picture: PullPicture, line: Line): boolean => {
  const { id, status } = line
  if (id === undefined || status === undefined || status.startsWith("Pulling from")) return status !== undefined
  const before = picture.layers.get(id)
  if (before === undefined && picture.layers.size >= maxLayers) return false
  // Docker's own waiting is no progress.
  if (status.startsWith("Retrying") || status === "Waiting") {
    if (before === undefined) picture.layers.set(id, untouched)
    return false
  }
  const after = advance(before ?? untouched, line)
  picture.layers.set(id, after)
  if (isFetched(after) && after.stage !== "existing" && !(before !== undefined && isFetched(before))) {
    picture.fetched++
  }
  return before === undefined || before.stage !== after.stage || before.downloaded !== after.downloaded
    || before.extracted !== after.extracted || line.progressDetail?.units !== undefined
}

export const of = (image: string, attempt: number, { layers }: PullPicture): PullProgress => {
  let existing = 0
  let downloaded = 0
  let extracted = 0
  let downloadedBytes = 0
  let extractedBytes = 0
  let totalBytes = 0
  let totalKnown = layers.size > 0
  for (const layer of layers.values()) {
    if (layer.stage === "existing") existing++
    else if (isFetched(layer)) downloaded++
    else if (layer.size === 0) totalKnown = false
    if (layer.stage === "extracted") extracted++
    downloadedBytes += layer.downloaded
    extractedBytes += layer.extracted
    totalBytes += layer.size
  }
  const total = layers.size
  return {
    image,
    phase: total === 0 ? "resolving" : downloaded + existing < total ? "downloading" : "extracting",
    layers: { total, existing, downloaded, extracted },
    downloadedBytes,
    extractedBytes,
    totalBytes,
    totalKnown,
    attempt
  }
}

/** The last progress of a pull that succeeded. */
export const completed = (image: string, attempt: number, picture: PullPicture): PullProgress => ({
  ...of(image, attempt, picture),
  phase: "complete",
  totalKnown: true
})

/**
 * The room that a pull still needs, at least, in bytes: a layer is kept as it was sent while it is unpacked, and
 * unpacked it is no smaller.
 */
export const roomNeeded = ({ layers }: PullPicture): number => {
  let bytes = 0
  for (const layer of layers.values()) {
    if (!isDone(layer)) bytes += 2 * layer.size - layer.downloaded - layer.extracted
  }
  return bytes
}
