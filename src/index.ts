/** The core: everything here is pure and runs in a browser. Folders, runtimes and the Hub are in the package's other entry points. */

export * from './errors.ts'
export { sizeOf, tensor, type DataOf, type Dtype, type Tensor } from './tensor/tensor.ts'
export type { WeightRef, WeightTable } from './tensor/weights.ts'
export { createRandom, restoreRandom, type Random, type RandomState } from './tensor/random.ts'
export {
  formatSafetensors,
  parseSafetensors,
  parseSafetensorsHeader,
  type Safetensors,
  type SafetensorsHeader,
} from './tensor/safetensors.ts'

export { lengthOf, softPrompt, widthOf, type SoftPrompt } from './prompt/soft-prompt.ts'
export type { BaseModel, Fingerprint, Manifest, Metric, Recipe, RecordedRecipe } from './prompt/manifest.ts'
export type { EmbeddingTable } from './prompt/fingerprint.ts'
export { initialise, type InitialiseOptions } from './prompt/initialise.ts'
export { createPromptBank, type BankFeeds, type PromptBank, type VirtualTokens } from './prompt/bank.ts'

export type { Tokenizer } from './data/tokenizer.ts'
export { encodeExamples, labelsOf, toExamples, type EncodedExample, type Example } from './data/examples.ts'
export { parseTemplate, type Template } from './data/template.ts'

export type { Capabilities, Engine, Program } from './graph/engine.ts'
export type { Graph } from './graph/ir.ts'
export { emitModel } from './onnx/emit.ts'
export { formatModel, parseModel } from './onnx/model.ts'
export { addSoftPromptInput, type Patched } from './onnx/surgery.ts'

export { parseT5Config, type T5Config } from './t5/config.ts'
export { buildStep, stepFeeds, type StepBatch, type StepOptions } from './t5/step.ts'

export { emittedSeq2Seq } from './decode/emitted.ts'
export { greedy } from './decode/greedy.ts'
export { bestLabel, labelProbabilities, scoreLabels } from './decode/score.ts'
export type { Encoded, EncodeInput, Seq2Seq } from './decode/seq2seq.ts'

export { makeRecipe, type RecipeChoices, type TrainRecipe } from './train/recipe.ts'
export { trainLoop, type TrainOptions } from './train/loop.ts'
export type { TrainEvent } from './train/events.ts'
export { accuracy, exactMatch, macroF1, wilson } from './train/metrics.ts'
