/** The artifact over bytes, without a file system: runs in a browser. Folders are folder.ts; the format is SPEC.md. */

export {
  CARD_FILE,
  checkHashes,
  CONFIG_FILE,
  formatArtifact,
  LOG_FILE,
  MANIFEST_FILE,
  parseArtifact,
  TENSOR_FILE,
  type Files,
  type FormatOptions,
  type Sha256,
} from './artifact.ts'
export { formatManifest, parseManifest } from './manifest.ts'
