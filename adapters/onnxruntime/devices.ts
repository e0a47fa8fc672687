/** Devices of onnxruntime (its execution providers): what each runs, and why one may not start. */
import { ConfigError, UnsupportedError } from '../../src/errors.ts'
import type { Capabilities } from '../../src/graph/engine.ts'

/** Devices that Node may be asked for; `auto` is the first that starts. */
export const NODE_DEVICES = ['cpu', 'webgpu', 'cuda', 'dml', 'coreml', 'auto'] as const

interface Device {
  readonly capabilities: Capabilities
  /** Operators that it lacks run on the CPU without a word: placement is checked. */
  readonly checked: boolean
  /** What to do where it does not start. */
  readonly help: string
}

/**
 * Standard operators only. WebGPU has SimplifiedLayerNormalization, but what it gives as second output is no inverse deviation (1.30): losses
 * are right and gradients are not.
 */
const standard: Capabilities = { contrib: false, externalData: true }

const DEVICES: Readonly<Record<string, Device>> = {
  cpu: { capabilities: { contrib: true, externalData: true, small: true, gathers: true }, checked: false, help: '' },
  // the WebAssembly build sees no files
  wasm: { capabilities: { contrib: false, externalData: false }, checked: false, help: 'It is in onnxruntime-web only.' },
  webgpu: {
    capabilities: standard,
    checked: true,
    help: 'It needs a GPU driver: Vulkan on Linux (a vulkan-loader and the driver of the GPU), Direct3D 12 on Windows, Metal on macOS.',
  },
  cuda: {
    capabilities: standard,
    checked: true,
    help:
      'It needs, on Linux x64, CUDA 12 and cuDNN 9 in the library path, and three provider files that the npm package leaves out: ' +
      'ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node. With other GPUs, or without these, use the device webgpu.',
  },
  dml: { capabilities: standard, checked: true, help: 'DirectML is in the Windows build of onnxruntime-node only.' },
  coreml: { capabilities: standard, checked: true, help: 'CoreML is in the macOS build of onnxruntime-node only.' },
}

export const isDevice = (name: string): boolean => Object.hasOwn(DEVICES, name)

/** @throws {ConfigError} `engine-device` */
export function deviceOf(name: string): Device {
  const device = isDevice(name) ? DEVICES[name] : undefined
  if (device) return device
  const known = Object.keys(DEVICES).join(', ')
  throw new ConfigError('engine-device', `onnxruntime has no device "${name}". Known: ${known}.`, { facts: { got: name } })
}

/** What the runtime says to people: not the line of its source and the condition that stand before it. */
const withoutSource = (message: string): string => message.replace(/^\S+\.(?:cc|h):\d+ [^]*? was false\. ?/, '') || message

/** The one error for a device that does not start. */
export function deviceFailed(name: string, cause: unknown): UnsupportedError {
  const why = withoutSource((cause instanceof Error ? cause.message : String(cause)).trim())
  const message = `onnxruntime's device ${name} does not start. ${deviceOf(name).help} onnxruntime says: ${why}`
  return new UnsupportedError('engine-device-missing', message, { cause, facts: { device: name } })
}
