/**
 * What is known about a machine, as plain data: what an agent builds and reports.
 *
 * The shapes, with what each field means, are those of `CapabilitiesSchema`, which validates and decodes what others send.
 * They are repeated here without their schemas, since making these costs an agent milliseconds at its start that it has
 * no use for. Two values are `Equal` when their fields are; lists are compared by identity.
 */
import * as Data from "effect/Data"
import type * as Model from "./CapabilitiesSchema.js"

export type Severity = Model.Severity
export type GpuVendor = Model.GpuVendor

export class Finding extends Data.Class<Model.Finding> {}
export class CpuInfo extends Data.Class<Model.CpuInfo> {}
export class MemoryInfo extends Data.Class<Model.MemoryInfo> {}
export class OsInfo extends Data.Class<Model.OsInfo> {}
export class MigInstance extends Data.Class<Model.MigInstance> {}
export class GpuProcess extends Data.Class<Model.GpuProcess> {}
export class GpuInfo extends Data.Class<Model.GpuInfo> {}
export class DiskInfo extends Data.Class<Model.DiskInfo> {}
export class NetworkInfo extends Data.Class<Model.NetworkInfo> {}
export class ContainerRuntimeInfo extends Data.Class<Model.ContainerRuntimeInfo> {}
export class NodeCapabilities extends Data.Class<Model.NodeCapabilities> {}
