/**
 * The descriptor as the `FileDescriptorProto`s of protobuf itself, which reflection hands out: one file per package.
 */
import protobuf from "protobufjs/light.js"
import { descriptor } from "./generated/descriptor.js"

/** The part of google/protobuf/descriptor.proto that our files use. */
const descriptors = protobuf.Root.fromJSON({
  nested: {
    FileDescriptorProto: {
      fields: {
        name: { type: "string", id: 1 },
        package: { type: "string", id: 2 },
        message_type: { rule: "repeated", type: "DescriptorProto", id: 4 },
        enum_type: { rule: "repeated", type: "EnumDescriptorProto", id: 5 },
        service: { rule: "repeated", type: "ServiceDescriptorProto", id: 6 },
        syntax: { type: "string", id: 12 }
      }
    },
    DescriptorProto: {
      fields: {
        name: { type: "string", id: 1 },
        field: { rule: "repeated", type: "FieldDescriptorProto", id: 2 },
        nested_type: { rule: "repeated", type: "DescriptorProto", id: 3 },
        enum_type: { rule: "repeated", type: "EnumDescriptorProto", id: 4 },
        options: { type: "MessageOptions", id: 7 },
        oneof_decl: { rule: "repeated", type: "OneofDescriptorProto", id: 8 }
      }
    },
    MessageOptions: { fields: { map_entry: { type: "bool", id: 7 } } },
    FieldDescriptorProto: {
      fields: {
        name: { type: "string", id: 1 },
        number: { type: "int32", id: 3 },
        label: { type: "int32", id: 4 },
        type: { type: "int32", id: 5 },
        type_name: { type: "string", id: 6 },
        oneof_index: { type: "int32", id: 9, options: { proto3_optional: true } },
        json_name: { type: "string", id: 10 },
        proto3_optional: { type: "bool", id: 17 }
      }
    },
    OneofDescriptorProto: { fields: { name: { type: "string", id: 1 } } },
    EnumDescriptorProto: {
      fields: {
        name: { type: "string", id: 1 },
        value: { rule: "repeated", type: "EnumValueDescriptorProto", id: 2 }
      }
    },
    EnumValueDescriptorProto: { fields: { name: { type: "string", id: 1 }, number: { type: "int32", id: 2 } } },
    ServiceDescriptorProto: {
      fields: {
        name: { type: "string", id: 1 },
        method: { rule: "repeated", type: "MethodDescriptorProto", id: 2 }
      }
    },
    MethodDescriptorProto: {
      fields: {
        name: { type: "string", id: 1 },
        input_type: { type: "string", id: 2 },
        output_type: { type: "string", id: 3 },
        client_streaming: { type: "bool", id: 5 },
        server_streaming: { type: "bool", id: 6 }
      }
    }
  }
})

const scalars: Readonly<Record<string, number>> = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18
}
const messageType = 11
const enumType = 14
const [singular, repeated] = [1, 3]

const jsonName = (name: string) => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

const entryName = (name: string) => `${jsonName(`_${name}`)}Entry`

const typeOf = (type: string, resolved: protobuf.Type | protobuf.Enum | null) =>
  resolved === null
    ? { type: scalars[type] ?? 0 }
    : { type: "fields" in resolved ? messageType : enumType, type_name: resolved.fullName }

const fieldOf = (field: protobuf.Field, oneofs: ReadonlyArray<protobuf.OneOf>) => {
  const { id, map, name, partOf, resolvedType, type } = field.resolve()
  const base = { name, number: id, json_name: jsonName(name), label: map || field.repeated ? repeated : singular }
  if (map) return { ...base, type: messageType, type_name: `${field.parent?.fullName}.${entryName(name)}` }
  return {
    ...base,
    ...typeOf(type, resolvedType),
    ...(partOf === null || partOf === undefined ? {} : { oneof_index: oneofs.indexOf(partOf) }),
    ...(partOf?.name === `_${name}` ? { proto3_optional: true } : {})
  }
}

const entryOf = (field: protobuf.MapField) => ({
  name: entryName(field.name),
  field: [
    { name: "key", number: 1, json_name: "key", label: singular, ...typeOf(field.keyType, null) },
    { name: "value", number: 2, json_name: "value", label: singular, ...typeOf(field.type, field.resolvedType) }
  ],
  options: { map_entry: true }
})

const enumOf = ({ name, values }: protobuf.Enum) => ({
  name,
  value: Object.entries(values).map(([name, number]) => ({ name, number }))
})

const messageOf = (type: protobuf.Type): object => {
  // Those that stand for an optional field come last, as protobuf wants it.
  const oneofs = [...type.oneofsArray].sort((a, b) => Number(a.name.startsWith("_")) - Number(b.name.startsWith("_")))
  return {
    name: type.name,
    field: type.fieldsArray.map((field) => fieldOf(field, oneofs)),
    nested_type: [
      ...type.nestedArray.filter((nested) => nested instanceof protobuf.Type).map(messageOf),
      ...type.fieldsArray.filter((field) => field instanceof protobuf.MapField).map(entryOf)
    ],
    enum_type: type.nestedArray.filter((nested) => nested instanceof protobuf.Enum).map(enumOf),
    oneof_decl: oneofs.map(({ name }) => ({ name }))
  }
}

const serviceOf = (service: protobuf.Service) => ({
  name: service.name,
  method: service.methodsArray.map((method) => ({
    name: method.name,
    input_type: service.lookupType(method.requestType).fullName,
    output_type: service.lookupType(method.responseType).fullName,
    client_streaming: method.requestStream === true,
    server_streaming: method.responseStream === true
  }))
})

/** A serialized `FileDescriptorProto`, and the full names of what is in it. */
export interface FileDescriptor {
  readonly name: string
  readonly bytes: Uint8Array
  readonly symbols: ReadonlySet<string>
}

const symbolsOf = (item: protobuf.ReflectionObject): ReadonlyArray<string> => {
  const name = item.fullName.slice(1)
  if (item instanceof protobuf.Type) {
    return [name, ...item.nestedArray.flatMap(symbolsOf), ...item.fieldsArray.map((field) => `${name}.${field.name}`)]
  }
  return item instanceof protobuf.Service
    ? [name, ...item.methodsArray.map((method) => `${name}.${method.name}`)]
    : [name]
}

const filesOf = (namespace: protobuf.NamespaceBase): ReadonlyArray<FileDescriptor> => {
  const own = namespace.nestedArray
  const inner = own.flatMap((item) =>
    item instanceof protobuf.Namespace && !(item instanceof protobuf.Type) && !(item instanceof protobuf.Service)
      ? filesOf(item)
      : []
  )
  const messages = own.filter((item) => item instanceof protobuf.Type)
  const enums = own.filter((item) => item instanceof protobuf.Enum)
  const services = own.filter((item) => item instanceof protobuf.Service)
  if (messages.length + enums.length + services.length === 0) return inner
  const name = namespace.fullName.slice(1)
  const file = descriptors.lookupType("FileDescriptorProto")
  const bytes = file.encode(file.fromObject({
    name: `${name.replaceAll(".", "/")}.proto`,
    package: name,
    message_type: messages.map(messageOf),
    enum_type: enums.map(enumOf),
    service: services.map(serviceOf),
    syntax: "proto3"
  })).finish()
  const symbols = new Set([...messages, ...enums, ...services].flatMap(symbolsOf))
  return [{ name: `${name.replaceAll(".", "/")}.proto`, bytes, symbols }, ...inner]
}

let made: ReadonlyArray<FileDescriptor> | undefined

/** All files, made when they are first asked for. */
export const all = (): ReadonlyArray<FileDescriptor> =>
  made ??= filesOf(protobuf.Root.fromJSON(JSON.parse(descriptor)).resolveAll())
