/** The layers of a checkpoint as a fingerprint looks at them: single values, read where they lie. Node and browser. */
import { layerNames, type LayerFacts, type LayerWeight } from '../../src/prompt/layers.ts'
import type { T5Config } from '../../src/t5/config.ts'
import { toFloat32, type FloatDtype } from '../../src/tensor/half.ts'
import { viewAs } from '../../src/tensor/safetensors.ts'
import { sizeOf, type Dtype } from '../../src/tensor/tensor.ts'
import type { WeightRef, WeightTable } from '../../src/tensor/weights.ts'
import { readRangesSync, type Range } from '../disk/ranges.ts'

const isFloat = (dtype: Dtype): dtype is FloatDtype => dtype === 'F32' || dtype === 'F16' || dtype === 'BF16'

/** The layers' weights that a checkpoint has. Reading them throws {FormatError} `weights-truncated`. */
export function layerFacts(config: T5Config, weights: WeightTable): LayerFacts {
  const { gated, tied, biasInEveryLayer } = config
  const plan = { gated, tied, biasInEveryLayer }
  const found = layerNames(config, plan).flatMap((name) => {
    const ref = weights.get(name)
    return ref && isFloat(ref.dtype) && ref.sizeBytes > 0 ? [layerWeight(name, ref, ref.dtype)] : []
  })
  return { plan, weights: found }
}

function layerWeight(name: string, { shape, source, offsetBytes, sizeBytes }: WeightRef, dtype: FloatDtype): LayerWeight {
  const size = sizeOf(shape)
  const width = sizeBytes / size
  return {
    name,
    size,
    values: (places) => {
      const ranges = places.map((place) => ({ offset: offsetBytes + place * width, length: width }))
      const bytes = typeof source === 'string' ? readRangesSync(source, ranges) : sliced(source, ranges)
      return toFloat32(dtype, viewAs(dtype, bytes))
    },
  }
}

function sliced(source: Uint8Array, ranges: readonly Range[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(ranges.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const { offset, length } of ranges) {
    out.set(source.subarray(offset, offset + length), at)
    at += length
  }
  return out
}
