/** Flags of every command that runs the model. */
import { NODE_DEVICES } from '../../adapters/onnxruntime/devices.ts'

export const ENGINE = {
  kind: 'string',
  value: 'name',
  help: 'what runs the graph',
  choices: ['onnxruntime', 'tfjs'],
  default: 'onnxruntime',
} as const

export const DEVICE = {
  kind: 'string',
  value: 'd',
  help: 'what it runs on (default: cpu; tfjs has cpu, cuda and auto, its default)',
  choices: NODE_DEVICES as typeof NODE_DEVICES,
} as const

/** Of a run that may go on: a default would take the place of what it was started with. */
export const RUN_ENGINE = {
  kind: 'string',
  value: 'name',
  help: 'what runs the graph (default: onnxruntime)',
  choices: ['onnxruntime', 'tfjs'],
} as const
