/** `soft-prompts/hub`: share prompts on the Hugging Face Hub, pull them, run a hub of your own. */
export { readHubEnvironment, type HubEnvironment } from './environment.ts'
export type { HubAccess } from './fetch.ts'
export { readLock, type Lock, type Locked, type LockedFile } from './lockfile.ts'
export { pullPrompt, type Pulled, type PullOptions } from './pull.ts'
export { pushPrompt, type Pushed, type PushOptions, type PushPlan } from './push.ts'
export { fetchSnapshot, type Snapshot, type SnapshotOptions } from './snapshot.ts'
export type { Account } from './server/accounts.ts'
export { startHub, type Hub, type HubOptions } from './server/start.ts'
