/** `soft_prompt.json`: text to manifest and back. Wire names are snake_case and stop here. */
import { FormatError, UnsupportedError } from '../../src/errors.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { isObject, parseStrictJson } from '../../src/tensor/strict-json.ts'
import { checkManifestWire, KNOWN_FIELDS, MANIFEST_VERSION } from './schema.ts'

/** Fields whose keys are data (file names, generation options, raw answers), not names of ours. */
const KEYED = new Set(['files', 'generation', 'unknown', 'label_map', 'labelMap'])

/** Wire names are snake_case (the schema says so), so both ways are exact: a `_2` stays as it is. */
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Renames the keys of plain objects, all the way down. */
function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [rename(key), KEYED.has(key) ? inner : renamed(inner, rename)]))
}

/**
 * Reads a manifest; fields of a newer writer are kept in `unknown`.
 * @throws {FormatError} `json-*` | `manifest-format`
 * @throws {UnsupportedError} `manifest-version`
 * @throws {ConfigError} `manifest-invalid`
 */
export function parseManifest(text: string): Manifest {
  const json = parseStrictJson(text, 'soft_prompt.json')
  if (!isObject(json)) throw new FormatError('manifest-format', 'soft_prompt.json holds no object.')
  const { version } = json
  if (typeof version === 'number' && version > MANIFEST_VERSION) {
    throw new UnsupportedError(
      'manifest-version',
      `soft_prompt.json is of version ${version}, this library reads up to ${MANIFEST_VERSION}. Update soft-prompts.`,
      {
        facts: { version },
      },
    )
  }
  const wire = Object.entries(checkManifestWire(json))
  const known = wire.filter(([key]) => KNOWN_FIELDS.has(key) && key !== 'version' && key !== 'base_model')
  const unknown = wire.filter(([key]) => !KNOWN_FIELDS.has(key))
  return {
    base: renamed(json['base_model'], camel) as Manifest['base'],
    ...(renamed(Object.fromEntries(known), camel) as Omit<Manifest, 'base'>),
    ...(unknown.length > 0 ? { unknown: Object.fromEntries(unknown) } : {}),
  }
}

/** Writes a manifest: fixed order of fields, two spaces, a final newline. */
export function formatManifest(manifest: Manifest): string {
  const { base, unknown = {}, files, generation, ...rest } = manifest
  const known = { ...(renamed(rest, snake) as Record<string, unknown>), ...(generation ? { generation } : {}) }
  const order = [...KNOWN_FIELDS]
  const wire = {
    version: MANIFEST_VERSION,
    base_model: renamed(base, snake),
    ...Object.fromEntries(Object.entries(known).toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b))),
    // Fields of a newer writer never stand in for ours.
    ...Object.fromEntries(Object.entries(unknown).filter(([key]) => !KNOWN_FIELDS.has(key))),
    ...(files ? { files } : {}),
  }
  return `${JSON.stringify(wire, null, 2)}\n`
}
