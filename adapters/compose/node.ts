/** Everything wired for Node: folders, files, training, export. The entry point `soft-prompts/node`. */

export { openPrompt, openPrompts, type OpenPromptOptions } from './open-prompt.ts'
export { inspectPrompts, type Inspection, type InspectOptions } from './inspect.ts'
export { verifyPrompts, type Check, type Verification, type VerifyOptions } from './verify.ts'
export { convertPrompt, type Conversion, type ConvertOptions } from './convert.ts'
export { writePromptFolder, type WriteOptions } from '../artifact/folder.ts'
export { openBase, type Base } from './open-base.ts'
export {
  drainTraining,
  trainPrompt,
  type ResumePromptOptions,
  type TrainedRun,
  type TrainPromptEvent,
  type TrainPromptOptions,
  type TrainPromptResult,
} from './train.ts'
export type { TrainTask } from './training-task.ts'
export type { RecipeChoices } from '../../src/train/recipe.ts'
export { readTasks } from './read-tasks.ts'
export {
  evaluatePrompts,
  type EvaluateData,
  type EvaluateFailure,
  type EvaluateOptions,
  type EvaluateResult,
  type Prediction,
} from './evaluate.ts'
export { transferTable, type TransferTable } from './transfer-table.ts'
export { answer, answers, type Answer, type AnswerInput, type AnswerOptions } from './answer.ts'
export { exportOnnx, type ExportedFile } from './export.ts'
export { pushFolder, type PushedFolder, type PushFolderOptions } from './push.ts'
export { pullRepository, type PullRepositoryOptions } from './pull.ts'
export { writeCard, type CardOptions } from './card.ts'
export { diagnose, type DoctorOptions } from './doctor.ts'
