/** The wire form of `soft_prompt.json`, version 1, checked with valibot. Its published twin is soft_prompt.schema.json; the prose is SPEC.md. */
import * as v from 'valibot'
import { ConfigError } from '../../src/errors.ts'
import type { Json } from '../../src/tensor/strict-json.ts'

export const MANIFEST_VERSION = 1

const SNAKE_CASE = /^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/
/** Longest text field: a template or a task line. Longer ones are no text for people. */
const Text = v.pipe(v.string(), v.maxLength(10_000))
const Sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits'))
const Count = v.pipe(v.number(), v.integer(), v.minValue(0))
const Base64 = v.pipe(v.string(), v.maxLength(1_000_000), v.regex(/^[A-Za-z0-9+/]*={0,2}$/, 'expected base64'))

/** An object of ours: fields of a newer writer pass, if they are named as all of ours are. */
const ours = <const E extends v.ObjectEntries>(entries: E): v.GenericSchema<unknown, Record<string, unknown>> =>
  v.pipe(
    v.looseObject(entries),
    v.check((value) => Object.keys(value).every((key) => SNAKE_CASE.test(key)), 'names have to be snake_case'),
  ) as v.GenericSchema<unknown, Record<string, unknown>>

/** Values by names that are data. valibot's record takes lists too. */
const byName = <const V extends v.GenericSchema>(value: V): v.GenericSchema<unknown, Record<string, unknown>> =>
  v.pipe(
    v.unknown(),
    v.check((given) => !Array.isArray(given), 'expected an object, got a list'),
    v.record(v.string(), value),
  ) as v.GenericSchema<unknown, Record<string, unknown>>

/** A few values of every weight of the layers. */
const Layers = ours({
  each: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)),
  gated: v.boolean(),
  tied: v.boolean(),
  bias_in_every_layer: v.boolean(),
  values: Base64,
})

const Fingerprint = v.pipe(
  ours({
    version: v.picklist([1, 2]),
    vocab_size: Count,
    width: Count,
    encoder_layers: v.exactOptional(Count),
    decoder_layers: v.exactOptional(Count),
    tokenizer: v.exactOptional(Sha256),
    probe: v.exactOptional(ours({ ids: v.pipe(v.array(Count), v.maxLength(256)), rows: Base64 })),
    final_norm: v.exactOptional(Base64),
    layers: v.exactOptional(Layers),
  }),
  v.check(
    (given) => given['version'] === 1 || ['encoder_layers', 'decoder_layers', 'layers'].every((name) => given[name] !== undefined),
    'version 2 needs encoder_layers, decoder_layers and layers',
  ),
)

const METRIC = {
  name: Text,
  split: Text,
  value: v.number(),
  n: Count,
  interval: v.exactOptional(v.strictTuple([v.number(), v.number()])),
  step: v.exactOptional(Count),
  by: v.exactOptional(v.picklist(['labels', 'generation'])),
} as const
const Metric = ours(METRIC)
const Baseline = ours({ ...METRIC, of: v.picklist(['untuned', 'majority']) })

const DATA = {
  name: v.exactOptional(Text),
  config: v.exactOptional(Text),
  split: v.exactOptional(Text),
  rows: Count,
  sha256: Sha256,
} as const

/** Rows of a manifest are a sample for people: more belong into a data set. */
const Failures = v.pipe(v.array(ours({ input: Text, expected: Text, answered: Text })), v.maxLength(100))
const Nearest = v.pipe(v.array(v.pipe(v.array(v.pipe(v.string(), v.maxLength(200))), v.maxLength(20))), v.maxLength(20_000))

const EncoderCheck = ours({
  file: Text,
  sha256: Sha256,
  answer: v.picklist(['same', 'quantised']),
  drift: v.pipe(v.number(), v.minValue(0)),
  output_drift: v.exactOptional(v.pipe(v.number(), v.minValue(0))),
  texts: v.exactOptional(Count),
})

const Recipe = ours({
  length: Count,
  init: v.picklist(['labels', 'vocab', 'random', 'text', 'prompt']),
  steps: Count,
  batch: Count,
  learning_rate: v.number(),
  optimizer: v.picklist(['adafactor', 'adamw', 'sgd']),
  weight_decay: v.number(),
  step_offset: Count,
  seed: v.pipe(v.number(), v.integer()),
  max_input_tokens: Count,
  max_target_tokens: Count,
  eval_every: Count,
  engine: v.exactOptional(Text),
  init_text: v.exactOptional(Text),
})

const ManifestWire = v.looseObject({
  version: v.literal(MANIFEST_VERSION),
  base_model: ours({
    id: Text,
    revision: v.exactOptional(Text),
    onnx_id: v.exactOptional(Text),
    fingerprint: v.exactOptional(Fingerprint),
  }),
  task: v.exactOptional(Text),
  template: v.exactOptional(Text),
  labels: v.exactOptional(v.pipe(v.array(Text), v.maxLength(10_000))),
  generation: v.exactOptional(byName(v.union([v.number(), v.boolean()]))),
  recipe: v.exactOptional(Recipe),
  data: v.exactOptional(ours({ ...DATA, target: v.exactOptional(Text), label_map: v.exactOptional(byName(Text)) })),
  dev: v.exactOptional(ours(DATA)),
  best_step: v.exactOptional(Count),
  metrics: v.exactOptional(v.pipe(v.array(Metric), v.maxLength(10_000))),
  baselines: v.exactOptional(v.pipe(v.array(Baseline), v.maxLength(10_000))),
  nearest: v.exactOptional(Nearest),
  failures: v.exactOptional(Failures),
  checks: v.exactOptional(v.pipe(v.array(EncoderCheck), v.maxLength(100))),
  created_by: v.exactOptional(Text),
  files: v.exactOptional(byName(Sha256)),
})

/** Fields of the manifest this version knows; others are kept as they were. */
export const KNOWN_FIELDS: ReadonlySet<string> = new Set(Object.keys(ManifestWire.entries))

/**
 * Checks a parsed `soft_prompt.json`.
 * @throws {ConfigError} `manifest-invalid`, naming the field
 */
export function checkManifestWire(json: Json): Record<string, unknown> {
  const checked = v.safeParse(ManifestWire, json)
  if (checked.success) return checked.output
  const [issue] = checked.issues
  const path = issue.path?.map(({ key }) => String(key)).join('.') ?? 'the whole'
  throw new ConfigError('manifest-invalid', `soft_prompt.json: ${path}: ${issue.message.slice(0, 200)}.`, { facts: { path } })
}
