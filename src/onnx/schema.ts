/** The ONNX messages this library reads and writes, and the one table that drives both. Source: onnx.proto (IR version 14). */

/** A field this table does not name, with its tag, as it stood in the file: kept and written back. */
export interface UnknownField {
  readonly field: number
  readonly bytes: Uint8Array
}

interface Message {
  readonly unknown?: readonly UnknownField[]
}

export interface ModelProto extends Message {
  readonly irVersion?: number
  readonly producerName?: string
  readonly producerVersion?: string
  readonly graph?: GraphProto
  readonly opsetImports: readonly OperatorSetIdProto[]
  readonly metadataProps: readonly StringStringEntryProto[]
}

export interface OperatorSetIdProto extends Message {
  readonly domain?: string
  readonly version?: number
}

export interface StringStringEntryProto extends Message {
  readonly key?: string
  readonly value?: string
}

export interface GraphProto extends Message {
  readonly nodes: readonly NodeProto[]
  readonly name?: string
  readonly initializers: readonly TensorProto[]
  readonly inputs: readonly ValueInfoProto[]
  readonly outputs: readonly ValueInfoProto[]
  readonly valueInfos: readonly ValueInfoProto[]
}

export interface NodeProto extends Message {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly name?: string
  readonly opType?: string
  readonly attributes: readonly AttributeProto[]
  readonly domain?: string
}

/** One attribute; `type` says which field is in use. Integers are bigint: 2^63 - 1 is common (Slice to the end). */
export interface AttributeProto extends Message {
  readonly name?: string
  readonly f?: number
  readonly i?: bigint
  readonly s?: Uint8Array
  readonly t?: TensorProto
  readonly g?: GraphProto
  readonly floats: readonly number[]
  readonly ints: readonly bigint[]
  readonly strings: readonly Uint8Array[]
  readonly tensors: readonly TensorProto[]
  readonly graphs: readonly GraphProto[]
  readonly type?: number
}

/** A tensor; `rawData` is a view into the file. Values in typed fields (`float_data`, …) stay among the unknown fields. */
export interface TensorProto extends Message {
  readonly dims: readonly number[]
  /** One of DATA_TYPE. */
  readonly dataType?: number
  readonly name?: string
  readonly rawData?: Uint8Array
  /** `location`, `offset`, `length`, `checksum`; see `externalData`. */
  readonly externalData: readonly StringStringEntryProto[]
  /** 0 in the file, 1 external. */
  readonly dataLocation?: number
}

export interface ValueInfoProto extends Message {
  readonly name?: string
  readonly type?: TypeProto
}

/** The type of a value; anything but a dense tensor stays among the unknown fields. */
export interface TypeProto extends Message {
  readonly tensorType?: TensorTypeProto
}

export interface TensorTypeProto extends Message {
  /** One of DATA_TYPE. */
  readonly elemType?: number
  /** Absent = any rank. */
  readonly shape?: TensorShapeProto
}

export interface TensorShapeProto extends Message {
  readonly dims: readonly DimensionProto[]
}

/** One axis: a size, a name, or neither. */
export interface DimensionProto extends Message {
  readonly dimValue?: number
  readonly dimParam?: string
}

export interface Messages {
  ModelProto: ModelProto
  OperatorSetIdProto: OperatorSetIdProto
  StringStringEntryProto: StringStringEntryProto
  GraphProto: GraphProto
  NodeProto: NodeProto
  AttributeProto: AttributeProto
  TensorProto: TensorProto
  ValueInfoProto: ValueInfoProto
  TypeProto: TypeProto
  TensorTypeProto: TensorTypeProto
  TensorShapeProto: TensorShapeProto
  DimensionProto: DimensionProto
}

/** How a scalar stands on the wire; `integer` is an int64 held as a safe number. */
export interface Scalars {
  integer: number
  int64: bigint
  float: number
  text: string
  bytes: Uint8Array
}

/** The kinds a value of type T can have. */
type KindOf<T> =
  | { [M in keyof Messages]: Messages[M] extends T ? (T extends Messages[M] ? M : never) : never }[keyof Messages]
  | ScalarOf<T>
type ScalarOf<T> = { [S in keyof Scalars]: Scalars[S] extends T ? (T extends Scalars[S] ? S : never) : never }[keyof Scalars]

type FieldOf<T> = T extends Uint8Array
  ? readonly [number: number, kind: 'bytes']
  : T extends readonly (infer E)[]
    ? readonly [number: number, kind: KindOf<E>, repeated: 'repeated']
    : readonly [number: number, kind: KindOf<T>]

/** A row for every field of every message, in ascending field numbers: a missing or mistyped row does not compile. */
type Schema = {
  readonly [M in keyof Messages]: { readonly [F in Exclude<keyof Messages[M], 'unknown'>]-?: FieldOf<NonNullable<Messages[M][F]>> }
}

export const SCHEMA: Schema = {
  ModelProto: {
    irVersion: [1, 'integer'],
    producerName: [2, 'text'],
    producerVersion: [3, 'text'],
    graph: [7, 'GraphProto'],
    opsetImports: [8, 'OperatorSetIdProto', 'repeated'],
    metadataProps: [14, 'StringStringEntryProto', 'repeated'],
  },
  OperatorSetIdProto: { domain: [1, 'text'], version: [2, 'integer'] },
  StringStringEntryProto: { key: [1, 'text'], value: [2, 'text'] },
  GraphProto: {
    nodes: [1, 'NodeProto', 'repeated'],
    name: [2, 'text'],
    initializers: [5, 'TensorProto', 'repeated'],
    inputs: [11, 'ValueInfoProto', 'repeated'],
    outputs: [12, 'ValueInfoProto', 'repeated'],
    valueInfos: [13, 'ValueInfoProto', 'repeated'],
  },
  NodeProto: {
    inputs: [1, 'text', 'repeated'],
    outputs: [2, 'text', 'repeated'],
    name: [3, 'text'],
    opType: [4, 'text'],
    attributes: [5, 'AttributeProto', 'repeated'],
    domain: [7, 'text'],
  },
  AttributeProto: {
    name: [1, 'text'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    g: [6, 'GraphProto'],
    floats: [7, 'float', 'repeated'],
    ints: [8, 'int64', 'repeated'],
    strings: [9, 'bytes', 'repeated'],
    tensors: [10, 'TensorProto', 'repeated'],
    graphs: [11, 'GraphProto', 'repeated'],
    type: [20, 'integer'],
  },
  TensorProto: {
    dims: [1, 'integer', 'repeated'],
    dataType: [2, 'integer'],
    name: [8, 'text'],
    rawData: [9, 'bytes'],
    externalData: [13, 'StringStringEntryProto', 'repeated'],
    dataLocation: [14, 'integer'],
  },
  ValueInfoProto: { name: [1, 'text'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorTypeProto'] },
  TensorTypeProto: { elemType: [1, 'integer'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dims: [1, 'DimensionProto', 'repeated'] },
  DimensionProto: { dimValue: [1, 'integer'], dimParam: [2, 'text'] },
}

/** TensorProto.DataType. */
export const DATA_TYPE = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  INT32: 6,
  INT64: 7,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  BFLOAT16: 16,
  UINT4: 21,
  INT4: 22,
} as const

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = {
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
} as const
