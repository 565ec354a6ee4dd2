/** Asks a model through the orchestrator's own OpenAI API, as any other client would. */

export interface Message {
  readonly role: "user" | "assistant"
  readonly content: string
}

/** What of OpenAI's events is read here. */
interface ChunkEvent {
  readonly choices?: ReadonlyArray<{ readonly delta?: { readonly content?: string } }>
  readonly usage?: { readonly completion_tokens?: number } | null
  readonly error?: { readonly message?: string }
}

/** The data of an answer's events, as they come. */
async function* dataOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ""
  while (true) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n")
    rest = events.pop() ?? ""
    for (const event of events) if (event.startsWith("data: ")) yield event.slice("data: ".length)
  }
}

const errorOf = async (response: Response): Promise<string> => {
  try {
    const body = await response.json() as ChunkEvent
    return body.error?.message ?? `status ${response.status}`
  } catch {
    return `status ${response.status}`
  }
}

export interface AnswerStats {
  /** Milliseconds until the first piece; `undefined` when there was none. */
  readonly firstMillis: number | undefined
  /** From the first piece to the last. */
  readonly seconds: number
  /** As the engine counted them; 0 when it did not. */
  readonly tokens: number
}

/** Rejects when the answer breaks off, is refused or is aborted; `onPiece` is called with its text as it comes. */
export const ask = async (
  model: string,
  messages: ReadonlyArray<Message>,
  signal: AbortSignal,
  onPiece: (text: string) => void
): Promise<AnswerStats> => {
  const from = performance.now()
  let firstMillis: number | undefined
  let tokens = 0
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } }),
    signal
  })
  if (!response.ok || response.body === null) throw new Error(await errorOf(response))
  for await (const data of dataOf(response.body)) {
    if (data === "[DONE]") {
      return { firstMillis, seconds: (performance.now() - from - (firstMillis ?? 0)) / 1000, tokens }
    }
    const event = JSON.parse(data) as ChunkEvent
    if (event.error !== undefined) throw new Error(event.error.message ?? "the answer broke off")
    tokens = event.usage?.completion_tokens ?? tokens
    const piece = event.choices?.[0]?.delta?.content ?? ""
    if (piece === "") continue
    firstMillis ??= performance.now() - from
    onPiece(piece)
  }
  throw new Error("the answer broke off")
}

export const describe = ({ firstMillis, seconds, tokens }: AnswerStats): string =>
  [
    firstMillis === undefined
      ? ""
      : `first token after ${
        firstMillis < 1000 ? `${firstMillis.toFixed(0)} ms` : `${(firstMillis / 1000).toFixed(1)} s`
      }`,
    tokens > 0 ? `${tokens} tokens` : "",
    tokens > 1 && seconds > 0.05 ? `${((tokens - 1) / seconds).toFixed(1)} tokens/s` : ""
  ].filter((part) => part !== "").join(" · ")
