/** The one file that reads the Hub's environment variables. Source: huggingface_hub 1.33, constants.py. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import { proxyFetch } from './proxy.ts'

export interface HubEnvironment {
  /** HF_ENDPOINT, without a slash at its end. */
  readonly hubUrl: string
  /** HF_TOKEN, or the token file's content. */
  readonly token?: string
  /** HF_HUB_CACHE, or `hub` in HF_HOME. */
  readonly cacheDir: string
  /** HF_HUB_OFFLINE */
  readonly offline: boolean
  /** Goes through HTTPS_PROXY, HTTP_PROXY and NO_PROXY; absent where no proxy is set. */
  readonly fetch?: typeof fetch
}

type Variables = Readonly<Record<string, string | undefined>>

const isTrue = (text: string | undefined): boolean => /^(1|on|yes|true)$/i.test(text ?? '')

const filled = (text: string | undefined): string | undefined => {
  const clean = text?.replace(/[\r\n]/g, '').trim()
  return clean === '' ? undefined : clean
}

const untilde = (path: string, home: string): string => (path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path)

function tokenFrom(path: string): string | undefined {
  try {
    return filled(readFileSync(path, 'utf8'))
  } catch {
    return undefined // no file, or not ours to read: as good as no token
  }
}

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return text.replace(/\/+$/, '')
  throw new ConfigError('hub-endpoint', 'HF_ENDPOINT must be an http(s) address without a user name in it, such as https://huggingface.co.')
}

/**
 * Where the Hub is, who we are there and where its files are kept.
 * @throws {ConfigError} `hub-endpoint` | `hub-proxy`
 */
export function readHubEnvironment(env: Variables = process.env): HubEnvironment {
  const home = homedir()
  const cache = filled(env['XDG_CACHE_HOME']) ?? join(home, '.cache')
  const hfHome = untilde(filled(env['HF_HOME']) ?? join(cache, 'huggingface'), home)
  const implicit = !isTrue(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'])
  const tokenFile = untilde(filled(env['HF_TOKEN_PATH']) ?? join(hfHome, 'token'), home)
  const token = implicit ? (filled(env['HF_TOKEN']) ?? filled(env['HUGGING_FACE_HUB_TOKEN']) ?? tokenFrom(tokenFile)) : undefined
  const through = proxyFetch(env)
  return {
    hubUrl: checkUrl(filled(env['HF_ENDPOINT']) ?? 'https://huggingface.co'),
    ...(token === undefined ? {} : { token }),
    cacheDir: untilde(filled(env['HF_HUB_CACHE']) ?? filled(env['HUGGINGFACE_HUB_CACHE']) ?? join(hfHome, 'hub'), home),
    offline: isTrue(env['HF_HUB_OFFLINE']) || isTrue(env['TRANSFORMERS_OFFLINE']),
    ...(through === undefined ? {} : { fetch: through }),
  }
}
