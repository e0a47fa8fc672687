/** Every limit of the local hub, with its reason and the largest real value met. */

/** JSON bodies other than commits. Largest real one: a preupload of 256 files with samples, 220 KB. */
export const JSON_BODY_BYTES: number = 8 << 20
/** Commits carry regular files as base64. Largest real one: a 24 MB tokenizer beside a card. */
export const COMMIT_BODY_BYTES: number = 256 << 20
/** Above this a file goes by LFS; huggingface.co says 10 MB. */
export const REGULAR_FILE_BYTES: number = 10 << 20
/** Python with hf_xet cannot do LFS, so its binary files come inside the commit up to this size. */
export const INLINE_FILE_BYTES: number = 128 << 20
/** One LFS object; huggingface.co says 50 GB. */
export const LFS_OBJECT_BYTES: number = 50e9
/** Lines of a commit: one for each file that comes or goes, in a repository as large as can be. */
export const COMMIT_LINES = 20_000
/** Marks (`{ [ , :`) of a JSON body, each of which may take 200 ns and as many bytes, while others wait. Largest real one: an LFS batch of 256 objects, 2,000. */
export const JSON_MARKS = 100_000
/** And of a commit, over all lines; one for a file has 9. */
export const COMMIT_MARKS: number = 16 * COMMIT_LINES
/** Entries of one tree page; huggingface.co gives 1000. */
export const TREE_PAGE: number = 1000
/** Repositories of one listing page; huggingface.co gives at most 1000. */
export const LIST_PAGE: number = 1000
/** Files of one repository, so that one commit file stays readable. */
export const REPO_FILES = 10_000
/** Objects in one LFS batch, as the clients chunk them (100 JavaScript, 256 Python). */
export const LFS_BATCH = 1000
/** Life of a signed upload address, seconds. */
export const UPLOAD_SECONDS = 3600
/** Largest card that is read, bytes; longer ones are kept and served as files. */
export const CARD_BYTES: number = 1 << 20
/** Longest front matter that is read: the worst takes some 10 µs a character, and other requests wait. Ours have at most 4,000. */
export const FRONT_MATTER_CHARACTERS = 16_000
/** How much of a card's body is shown as a page: the worst takes some 5 µs a character. Our longest has 12,000. */
export const BODY_CHARACTERS = 32_000
/** Largest adapter_config.json and soft_prompt.json that a listing reads, bytes; PEFT writes 1 KB, a manifest of 100 tokens has 20 KB. */
export const CONFIG_BYTES: number = 1 << 17
