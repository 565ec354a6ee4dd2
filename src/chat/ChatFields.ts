/**
 * The fields of OpenAI's chat requests that have fields of their own in the wire's `ChatCompletionRequest`. All others
 * travel in `options_json`, where none of these may stand.
 */
export const chatFields: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "stream",
  "stream_options",
  "temperature",
  "max_tokens",
  "max_completion_tokens"
])
