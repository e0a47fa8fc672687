/** Other people's PEFT adapters as plain soft prompts (PEFT 0.21, `tuners/prompt_tuning`, `p_tuning`, `multitask_prompt_tuning`). Pure. */
import { ConfigError, FormatError, ShapeError, UnsupportedError } from '../../src/errors.ts'
import { parseAdapterConfig, type AdapterConfig } from '../../src/prompt/adapter-config.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { parseSafetensors } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

export interface PeftOptions {
  /** Which task's prompt of a multitask adapter. */
  readonly task?: number
}

export interface PeftPrompt {
  readonly prompt: SoftPrompt
  readonly peftType: string
  /** What was left out, and why; for people. */
  readonly notes: readonly string[]
}

/** Matrices by their names, in F32. */
type Matrices = ReadonlyMap<string, Tensor<'F32'>>

/** Methods that are no prompt in front of the input, with what to do. */
const REFUSED: Readonly<Record<string, string>> = {
  PREFIX_TUNING: 'it holds keys and values for every layer, not input embeddings; train a soft prompt on the same data instead',
  LORA: 'it changes the weights of the model; merge it into the model and export that',
  ADAPTION_PROMPT: 'it is added inside the attention layers; train a soft prompt on the same data instead',
  IA3: 'it scales activations inside the model; merge it into the model and export that',
}

/**
 * Reads a PEFT adapter from its two files.
 * @throws {UnsupportedError} `peft-type` for methods that are no input prompt
 * @throws {ConfigError} `peft-task`, `adapter-config-value`
 * @throws {ShapeError} `peft-tensor` | `peft-shape`
 * @throws {FormatError} `safetensors-*`, `json-*`
 */
export function parsePeft(configText: string, tensorBytes: Uint8Array, options: PeftOptions = {}): PeftPrompt {
  const config = parseAdapterConfig(configText)
  const { peftType } = config
  const notes: string[] = []
  const rows = matrixOf(config, () => floats(parseSafetensors(tensorBytes).tensors), options, notes)
  const { base, revision } = config
  const manifest = { base: { id: base ?? '', ...(revision === undefined ? {} : { revision }) } }
  return { prompt: softPrompt(rows, manifest), peftType, notes }
}

function matrixOf(config: AdapterConfig, matrices: () => Matrices, options: PeftOptions, notes: string[]): Tensor<'F32'> {
  switch (config.peftType) {
    case 'PROMPT_TUNING':
    case 'CPT':
      return firstRows(config, named(matrices(), 'prompt_embeddings'), notes)
    case 'P_TUNING':
      notes.push(
        'P-tuning saves what its network put out, not the network: the prompt answers as before, and cannot be trained on as P-tuning.',
      )
      return firstRows(config, named(matrices(), 'prompt_embeddings'), notes)
    case 'MULTITASK_PROMPT_TUNING':
      return firstRows(config, taskMatrix(matrices(), options.task), notes)
    default:
      throw new UnsupportedError(
        'peft-type',
        `A ${config.peftType} adapter is no soft prompt: ${REFUSED[config.peftType] ?? 'only PROMPT_TUNING, P_TUNING and MULTITASK_PROMPT_TUNING put virtual tokens in front of the input'}.`,
        { facts: { peftType: config.peftType } },
      )
  }
}

function floats(tensors: ReadonlyMap<string, Tensor>): Matrices {
  return new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
        throw new ShapeError('prompt-dtype', `Tensor ${name} is ${dtype}; a prompt is stored in F32, F16 or BF16.`, { facts: { dtype } })
      }
      return [name, tensor('F32', shape, toFloat32(dtype, data as Float32Array | Uint16Array))]
    }),
  )
}

function named(matrices: Matrices, name: string): Tensor<'F32'> {
  const found = matrices.get(name)
  if (found) return found
  throw new FormatError(
    'peft-tensor',
    `adapter_model.safetensors has no ${name}; it has ${[...matrices.keys()].slice(0, 5).join(', ') || 'nothing'}.`,
  )
}

/** Rows [0, P). PEFT's default for T5 keeps 2P rows; the second half never meets the model. */
function firstRows(config: AdapterConfig, matrix: Tensor<'F32'>, notes: string[]): Tensor<'F32'> {
  const { length } = config
  const [rows = 0, width = 0] = matrix.shape
  if (matrix.shape.length !== 2 || length === 0 || (rows !== length && rows !== 2 * length) || (config.width ?? width) !== width) {
    throw new ShapeError(
      'peft-shape',
      `prompt_embeddings is [${matrix.shape.join(', ')}]; adapter_config.json says ${length} virtual tokens of width ${config.width ?? '(not given)'}.`,
      { facts: { shape: matrix.shape, length } },
    )
  }
  if (rows === length) return matrix
  notes.push(
    config.peftType === 'MULTITASK_PROMPT_TUNING'
      ? `Rows ${length} to ${rows - 1} were left out: a decoder prefix that PEFT trains and its generate never uses; losses during training differ.`
      : `Rows ${length} to ${rows - 1} were left out: PEFT stores them for the decoder and never uses them.`,
  )
  return tensor('F32', [length, width], matrix.data.slice(0, length * width))
}

/** Task t of Wang et al. 2023 (multitask prompt tuning): the shared matrix, elementwise times cols[t] · rows[t]. */
function taskMatrix(matrices: Matrices, task: number | undefined): Tensor<'F32'> {
  const shared = named(matrices, 'prompt_embeddings') // [R, D]
  const cols = named(matrices, 'prefix_task_cols') // [tasks, R, r]
  const rows = named(matrices, 'prefix_task_rows') // [tasks, r, D]
  const [length = 0, width = 0] = shared.shape
  const [tasks = 0, colRows = 0, rank = 0] = cols.shape
  if (
    cols.shape.length !== 3 ||
    rows.shape.length !== 3 ||
    colRows !== length ||
    rows.shape[0] !== tasks ||
    rows.shape[1] !== rank ||
    rows.shape[2] !== width
  ) {
    throw new ShapeError('peft-shape', `The multitask tensors do not fit: [${shared.shape}], [${cols.shape}], [${rows.shape}].`)
  }
  if (task === undefined || !Number.isInteger(task) || task < 0 || task >= tasks) {
    throw new ConfigError(
      'peft-task',
      `This adapter holds ${tasks} tasks; choose one with --task, 0 to ${tasks - 1}${task === undefined ? '' : `, not ${task}`}.`,
      {
        facts: { tasks },
      },
    )
  }
  const data = shared.data.map((value, index) => {
    const [row, column] = [Math.floor(index / width), index % width]
    let factor = 0
    for (let k = 0; k < rank; k++) {
      factor += (cols.data[(task * length + row) * rank + k] as number) * (rows.data[(task * rank + k) * width + column] as number)
    }
    return value * factor
  })
  return tensor('F32', shared.shape, data)
}
