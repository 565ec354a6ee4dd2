/** The operating system and what it runs on. */
import type { KernelFiles } from "./Files.js"
import { known } from "../node/Fields.js"
import * as Printable from "../text/Printable.js"

/** What does not change while the machine is up; see `OsInfo`. */
export interface OsFacts {
  readonly distribution?: string
  readonly virtualization?: string
  readonly board?: string
  readonly bootId?: string
}

/** Go's name for what `process.platform` says. */
export const platformOf = (nodePlatform: string): string => nodePlatform === "win32" ? "windows" : nodePlatform

/** The value of a line of `os-release`, without its quotes and escapes. */
const unquote = (value: string): string => {
  const text = value.trim()
  const quoted = /^(["'])(.*)\1$/.exec(text)?.[2] ?? text
  return quoted.replace(/\\(["'$`\\])/g, "$1")
}

/** The name and version of the distribution from the text of `/etc/os-release`. */
export const parseOsRelease = (text: string): string | undefined => {
  const fields = new Map<string, string>()
  for (const line of text.split("\n")) {
    const match = /^\s*([A-Z][A-Z0-9_]*)=(.*)$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) fields.set(match[1], unquote(match[2]))
  }
  return Printable.label(fields.get("PRETTY_NAME"))
    ?? Printable.label([fields.get("NAME"), fields.get("VERSION")].filter((part) => part !== undefined).join(" "))
}

/** The hypervisor by what firmware says of the machine; the first that fits counts. */
const hypervisors: ReadonlyArray<readonly [pattern: RegExp, name: string]> = [
  [/\.metal\b/i, "none"],
  [/VMware/i, "vmware"],
  [/VirtualBox|innotek/i, "virtualbox"],
  [/Parallels/i, "parallels"],
  [/Microsoft Corporation.*Virtual Machine/i, "hyperv"],
  [/Apple Virtualization/i, "apple"],
  [/bhyve/i, "bhyve"],
  [/Xen|HVM domU/i, "xen"],
  [/Amazon EC2|Google Compute Engine|KVM|QEMU|OpenStack|Droplet|vServer|Alibaba Cloud ECS|Bochs|Firecracker/i, "kvm"]
]

/** What firmware says is a few words; more would only cost time. */
const maxDmi = 2048

/** The name of the hypervisor from DMI's vendor and product; `undefined` when they name none. */
export const hypervisorOf = (dmi: string): string | undefined =>
  hypervisors.find(([pattern]) => pattern.test(dmi.slice(0, maxDmi)))?.[1]

/** The kind of container from the text of `/proc/1/cgroup`. */
export const containerOfCgroup = (text: string): string | undefined =>
  /kubepods/.test(text)
    ? "kubernetes"
    : /libpod/.test(text)
    ? "podman"
    : /[/:-]docker[/-]|\/docker$/m.test(text)
    ? "docker"
    : /[/.]lxc[/.]/.test(text)
    ? "lxc"
    : undefined

const container = (files: KernelFiles, env: NodeJS.ProcessEnv): string | undefined => {
  // Kubernetes first: its containers carry the marks of the runtime below too.
  if (
    (env.KUBERNETES_SERVICE_HOST ?? "") !== ""
    || files.exists("/var/run/secrets/kubernetes.io/serviceaccount")
  ) return "kubernetes"
  if (files.exists("/run/.containerenv")) return "podman"
  if (files.exists("/.dockerenv")) return "docker"
  return containerOfCgroup(files.text("/proc/1/cgroup") ?? "")
    // What systemd found out when it started.
    ?? Printable.label(files.line("/run/systemd/container"))
    ?? Printable.label(env.container)
}

/** The hypervisor, or `none`. */
const hypervisor = (files: KernelFiles, flagged: boolean | undefined): string => {
  if (files.line("/sys/hypervisor/type") === "xen") {
    return files.line("/proc/xen/capabilities")?.includes("control_d") === true ? "none" : "xen"
  }
  const dmi = ["sys_vendor", "product_name", "board_vendor", "bios_vendor"]
    .map((name) => files.line(`/sys/class/dmi/id/${name}`) ?? "").join(" | ")
  const named = hypervisorOf(dmi)
  // Some vendors' names are also on their real machines: the processor knows better, where it says anything.
  if (named !== undefined && flagged !== false) return named
  if (files.exists("/proc/device-tree/hypervisor")) {
    return files.line("/proc/device-tree/hypervisor/compatible")?.includes("kvm") === true ? "kvm" : "vm"
  }
  return flagged === true ? "vm" : "none"
}

/** Another one after every boot, and in every copy of a machine that was started from a snapshot of it. */
export const readBootId = (files: KernelFiles): string | undefined =>
  Printable.label(files.line("/proc/sys/kernel/random/boot_id"))

/** Everything that Linux says about itself without a process. */
export const readLinuxOs = (
  files: KernelFiles,
  env: NodeJS.ProcessEnv,
  cpu: { readonly board?: string; readonly hypervisor?: boolean }
): OsFacts => {
  const kernel = files.line("/proc/sys/kernel/osrelease") ?? ""
  return known({
    distribution: parseOsRelease(files.text("/etc/os-release") ?? files.text("/usr/lib/os-release") ?? ""),
    virtualization: container(files, env)
      ?? (/microsoft/i.test(kernel) ? "wsl" : hypervisor(files, cpu.hypervisor)),
    board: Printable.label(files.line("/proc/device-tree/model") ?? files.line("/sys/firmware/devicetree/base/model"))
      ?? cpu.board,
    bootId: readBootId(files)
  })
}
