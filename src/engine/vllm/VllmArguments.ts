/** vLLM's own arguments, as `--vllm-arg` gives them: which are taken, which are secrets, what they mean for the agent. */

/** Short forms of options that matter here. */
const longForms: Readonly<Record<string, string>> = {
  "-tp": "--tensor-parallel-size",
  "-pp": "--pipeline-parallel-size",
  "-dp": "--data-parallel-size"
}

/** The option that an argument is, in its long form: vLLM takes underscores for dashes. */
const nameOf = (arg: string): string => {
  const name = arg.split("=")[0] ?? ""
  return longForms[name] ?? (name.startsWith("--") ? name.replaceAll("_", "-") : name)
}

/** The value of an option among vLLM's own arguments: `--name value` or `--name=value`. The last one holds. */
export const optionOf = (args: ReadonlyArray<string>, name: string): string | undefined => {
  let found: string | undefined
  for (const [index, arg] of args.entries()) {
    if (nameOf(arg) === name) found = arg.includes("=") ? arg.slice(arg.indexOf("=") + 1) : args[index + 1]
  }
  return found
}

/** Options that the agent's own settings give, and the setting that does. */
const ownOptions: ReadonlyMap<string, string> = new Map([
  ["--model", "--vllm-model"],
  ["--host", "--engine-bind-address"],
  ["--port", "--vllm-port"],
  ["--tensor-parallel-size", "--vllm-tensor-parallel"],
  ["--max-model-len", "--vllm-max-model-len"]
])

/** An argument that is not accepted. Only its name is shown: its value may be a secret. */
export interface BadArgument {
  readonly name: string
  readonly problem: string
  /** What would be valid, to follow "give". */
  readonly expected: string
}

/** What is wrong with further arguments, whatever the machine. */
export const badArgument = (args: ReadonlyArray<string>): BadArgument | undefined => {
  if (args[0] === "serve") {
    return { name: "serve", problem: "it is the image's own first argument", expected: "options of vllm serve" }
  }
  for (const arg of args) {
    const [name = ""] = arg.split(/[=\s]/)
    const setting = ownOptions.get(nameOf(arg))
    if (setting !== undefined) return { name, problem: `that is given by ${setting}`, expected: "other arguments" }
    if (/^--(?:ssl-|uds$)/.test(nameOf(arg))) {
      return { name, problem: "the agent asks vLLM over plain HTTP, on its port", expected: "other arguments" }
    }
    // vLLM would read it as one option of that name, and a secret in it would not be recognized.
    if (/^--?[\w-]+\s/.test(arg)) {
      return { name, problem: "option and value are one argument", expected: `--vllm-arg=${name}=VALUE` }
    }
  }
  return undefined
}

/** Options whose values are secrets, and the variables that say the same. */
const secretOptions: ReadonlyMap<string, string> = new Map([["--api-key", "VLLM_API_KEY"], ["--hf-token", "HF_TOKEN"]])

/** Arguments without secrets, and these by their variables: everyone on the machine can read arguments. */
export const withoutSecrets = (
  args: ReadonlyArray<string>
): { readonly args: ReadonlyArray<string>; readonly secrets: Readonly<Record<string, string>> } => {
  const kept: Array<string> = []
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? ""
    if (!secretOptions.has(nameOf(arg))) kept.push(arg)
    else if (!arg.includes("=")) index++
  }
  const secrets: Record<string, string> = {}
  for (const [option, variable] of secretOptions) {
    const value = optionOf(args, option)
    if (value !== undefined && value !== "") secrets[variable] = value
  }
  return { args: kept, secrets }
}
