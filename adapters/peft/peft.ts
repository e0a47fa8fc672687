/** Other people's PEFT adapters as plain soft prompts (PEFT 0.21, `tuners/prompt_tuning`, `p_tuning`, `multitask_prompt_tuning`). Pure. */
import { ConfigError, FormatError, ShapeError, UnsupportedError } from '../../src/errors.ts'
import { parseAdapterConfig, type AdapterConfig } from '../../src/prompt/adapter-config.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { toFloat32, type FloatDtype } from '../../src/tensor/half.ts'
import { parseSafetensors, unread } from '../../src/tensor/safetensors.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

export interface PeftOptions {
  /** Which task's prompt of a multitask adapter. */
  readonly task?: number
}

export interface PeftPrompt {
  readonly prompt: SoftPrompt
  readonly peftType: string
  /** How the matrix is stored, before rows were left out. */
  readonly dtype: FloatDtype
  readonly storedShape: readonly number[]
  /** What was left out, and why; for people. */
  readonly notes: readonly string[]
}

type Tensors = ReadonlyMap<string, Tensor>

/** A prompt's header has about 100 bytes, a multitask adapter's 300. */
export const MAX_HEADER_BYTES: number = 1 << 20

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
  const { peftType, base, revision, taskType } = config
  const used = tensorsOf(peftType)
  if (options.task !== undefined && peftType !== 'MULTITASK_PROMPT_TUNING') {
    throw new ConfigError('peft-task', `Task ${options.task} was asked for, but this adapter is ${peftType}: it holds one prompt.`)
  }
  const { tensors, leftOut } = parseSafetensors(tensorBytes, { maxHeaderBytes: MAX_HEADER_BYTES, leaveOut: true })
  for (const [name, { dtype }] of leftOut) if (used.includes(name)) throw unread(name, dtype)
  const stored = named(tensors, 'prompt_embeddings')
  const notes: string[] = []
  const rows = firstRows(config, peftType === 'MULTITASK_PROMPT_TUNING' ? taskMatrix(tensors, options.task) : stored, notes)
  if (peftType === 'MULTITASK_PROMPT_TUNING') notes.push(`Task ${options.task} became a plain prompt; the other tasks were left out.`)
  if (peftType === 'P_TUNING') {
    notes.push(
      'P-tuning saves what its network put out, not the network: the prompt answers as before, and cannot be trained on as P-tuning.',
    )
  }
  if (peftType === 'CPT' || taskType === 'CAUSAL_LM') notes.push(CAUSAL)
  else if (taskType !== undefined && taskType !== 'SEQ_2_SEQ_LM') notes.push(noteOfTask(taskType))
  const others = [...tensors.keys(), ...leftOut.keys()].filter((name) => !used.includes(name))
  if (others.length > 0) notes.push(`Tensors of no prompt were left out: ${others.slice(0, 5).join(', ').slice(0, 200)}.`)
  const manifest = { base: { id: base ?? '', ...(revision === undefined ? {} : { revision }) } }
  const { dtype, shape: storedShape } = tensors.get('prompt_embeddings') as Tensor<FloatDtype>
  return { prompt: softPrompt(rows, manifest), peftType, dtype, storedShape, notes }
}

const CAUSAL = 'This prompt was trained for a causal model, not for a T5.'

/** PEFT's other task types: what stood behind the model in training. */
const BEHIND: Readonly<Record<string, string>> = {
  SEQ_CLS: 'a classification head',
  TOKEN_CLS: 'a head that classifies tokens',
  QUESTION_ANS: 'a head that finds spans',
  FEATURE_EXTRACTION: 'its hidden states',
}

function noteOfTask(taskType: string): string {
  const behind = Object.hasOwn(BEHIND, taskType) ? `for ${BEHIND[taskType]}, ` : ''
  return `This prompt was trained ${behind}not for generated answers (its task_type is ${taskType.slice(0, 60)}, a T5's would be SEQ_2_SEQ_LM): what it makes a T5 write means little.`
}

/** The tensors a method saves its prompts in. @throws {UnsupportedError} `peft-type` */
function tensorsOf(peftType: string): readonly string[] {
  if (peftType === 'MULTITASK_PROMPT_TUNING') return ['prompt_embeddings', 'prefix_task_cols', 'prefix_task_rows']
  if (['PROMPT_TUNING', 'P_TUNING', 'CPT'].includes(peftType)) return ['prompt_embeddings']
  const why = Object.hasOwn(REFUSED, peftType)
    ? REFUSED[peftType]
    : 'only PROMPT_TUNING, P_TUNING and MULTITASK_PROMPT_TUNING put virtual tokens in front of the input'
  throw new UnsupportedError('peft-type', `A ${peftType.slice(0, 60)} adapter is no soft prompt: ${why}.`, { facts: { peftType } })
}

function named(tensors: Tensors, name: string): Tensor<'F32'> {
  const found = tensors.get(name)
  if (!found) {
    throw new FormatError(
      'peft-tensor',
      `adapter_model.safetensors has no ${name}; it has ${[...tensors.keys()].slice(0, 5).join(', ').slice(0, 200) || 'nothing'}.`,
    )
  }
  const { dtype, shape, data } = found
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new ShapeError('prompt-dtype', `Tensor ${name} is ${dtype}; a prompt is stored in F32, F16 or BF16.`, { facts: { dtype } })
  }
  return tensor('F32', shape, toFloat32(dtype, data as Float32Array | Uint16Array))
}

/** Rows [0, P). PEFT's default for T5 keeps 2P rows; the second half never meets the model. */
function firstRows(config: AdapterConfig, matrix: Tensor<'F32'>, notes: string[]): Tensor<'F32'> {
  const { length, submodules } = config
  const [rows = 0, width = 0] = matrix.shape
  // Without the key PEFT takes the model's default, which a file does not tell.
  const promised = submodules === undefined ? [length, 2 * length] : [submodules * length]
  if (matrix.shape.length !== 2 || length === 0 || !promised.includes(rows) || (config.width ?? width) !== width) {
    throw new ShapeError(
      'peft-shape',
      `prompt_embeddings is [${matrix.shape.join(', ')}]; adapter_config.json promises ${promised.join(' or ')} rows of width ${config.width ?? '(not given)'}. One of them is of another adapter.`,
      { facts: { shape: matrix.shape, length, submodules } },
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
function taskMatrix(tensors: Tensors, task: number | undefined): Tensor<'F32'> {
  const shared = named(tensors, 'prompt_embeddings') // [R, D]
  const cols = named(tensors, 'prefix_task_cols') // [tasks, R, r]
  const rows = named(tensors, 'prefix_task_rows') // [tasks, r, D]
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
