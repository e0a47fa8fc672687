/** Everything wired for Node: folders, files, training, export. The entry point `soft-prompts/node`. */

export { openPrompt } from './open-prompt.ts'
export { writePromptFolder, type WriteOptions } from '../artifact/folder.ts'
export { openBase, type Base } from './open-base.ts'
export { drainTraining, trainPrompt, type TrainPromptEvent, type TrainPromptOptions, type TrainPromptResult } from './train.ts'
export { evaluatePrompts, type EvaluateOptions, type EvaluateResult } from './evaluate.ts'
export { answer, type Answer, type AnswerOptions } from './answer.ts'
export { exportOnnx, type ExportedFile } from './export.ts'
export { pushFolder, type PushedFolder, type PushFolderOptions } from './push.ts'
export { pullRepository, type PullRepositoryOptions } from './pull.ts'
export { writeCard, type CardOptions } from './card.ts'
