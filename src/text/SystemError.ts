/** Descriptions of the operating system's error codes. */

const reasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "the address does not belong to this machine",
  EAI_AGAIN: "the name cannot be resolved now: no answer from DNS",
  EBUSY: "the device is busy",
  ECONNABORTED: "the connection was aborted",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset",
  EDQUOT: "the disk quota is exceeded",
  EHOSTUNREACH: "no route to the host",
  EIO: "input/output error",
  EISDIR: "it is a directory",
  EMFILE: "too many open files in this process",
  ENAMETOOLONG: "the path is too long",
  ENETUNREACH: "the network is unreachable",
  ENFILE: "too many open files on this machine",
  ENOENT: "no such file or directory",
  ENOMEM: "out of memory",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of the path is not a directory",
  ENOTFOUND: "the name does not resolve",
  ENOTSOCK: "it is not a socket",
  EPERM: "operation not permitted",
  EPIPE: "the connection was closed",
  EPROTO: "protocol error",
  EROFS: "the file system is read-only",
  ESTALE: "the file system is no longer mounted",
  ETIMEDOUT: "the connection timed out"
}

/** `ECONNREFUSED`; `undefined` for anything but a system error. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

/** The first error code in a library's message: `14 UNAVAILABLE: connect ECONNREFUSED 127.0.0.1:1`. */
export const codeIn = (text: string): string | undefined => /\bE[A-Z_]{3,20}\b/.exec(text)?.[0]

/** A short description of a code, to follow a colon; `words` overrides it where the caller knows more. */
export const reasonOf = (code: string, words: Readonly<Record<string, string>> = {}): string =>
  words[code] ?? reasons[code] ?? code

/** A short description of an error: its code's, else its message. */
export const describe = (error: unknown, words: Readonly<Record<string, string>> = {}): string => {
  const code = codeOf(error)
  if (code !== undefined && (words[code] ?? reasons[code]) !== undefined) return reasonOf(code, words)
  return error instanceof Error ? error.message : String(error)
}
