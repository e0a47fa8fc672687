/**
 * Proxies: HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Node's own fetch reads them only from Node 22.21 and 24 on, and only with NODE_USE_ENV_PROXY=1; undici's
 * agent does everywhere. It is loaded with the first request, and only where a proxy is set.
 */
import { ConfigError } from '../../src/errors.ts'

type Variables = Readonly<Record<string, string | undefined>>

const valueOf = (env: Variables, name: string): string | undefined =>
  [env[name.toLowerCase()], env[name]].map((value) => value?.trim()).find((value) => value !== undefined && value !== '')

/** A proxy's address; its user name and password never stand in an error. */
function checkProxy(name: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const address = text.includes('://') ? text : `http://${text}`
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address
  throw new ConfigError(
    'hub-proxy',
    `${name} must be the address of an HTTP proxy, such as http://proxy.example:3128; unset it to use none.`,
  )
}

/**
 * A fetch that goes through the environment's proxies; undefined where none is set.
 * @throws {ConfigError} `hub-proxy`
 */
export function proxyFetch(env: Variables): typeof fetch | undefined {
  const httpProxy = checkProxy('HTTP_PROXY', valueOf(env, 'HTTP_PROXY'))
  const httpsProxy = checkProxy('HTTPS_PROXY', valueOf(env, 'HTTPS_PROXY'))
  if (httpProxy === undefined && httpsProxy === undefined) return undefined
  // This machine is never asked for through a proxy: a local hub needs no NO_PROXY.
  const noProxy =
    valueOf(env, 'NO_PROXY') === '*'
      ? '*'
      : [valueOf(env, 'NO_PROXY'), 'localhost', '127.0.0.1', '[::1]'].filter((entry) => entry !== undefined).join(',')
  let opened: Promise<typeof fetch> | undefined
  const open = async (): Promise<typeof fetch> => {
    const { EnvHttpProxyAgent, fetch: send } = await import('undici')
    // Plain http asks the proxy for the whole address; https goes through a tunnel.
    const dispatcher = new EnvHttpProxyAgent({ httpProxy: httpProxy ?? '', httpsProxy: httpsProxy ?? '', noProxy, proxyTunnel: false })
    const through: unknown = (input: string, init: object) => send(input, { ...init, dispatcher })
    return through as typeof fetch
  }
  return async (input, init) => {
    // undici would send https by HTTP_PROXY where that alone is set; Python and curl do not.
    if (httpsProxy === undefined && String(input).startsWith('https:')) return fetch(input, init)
    return (await (opened ??= open()))(input, init)
  }
}
