import { InvalidOption } from '../base/errors.ts'
import type { Address } from './ip.ts'
import { parseAddress } from './ip.ts'

/**
 * Whose word about the client's address counts: no one's (`false`), that of so many proxies in
 * front of us (a number), or that of addresses in these networks (`'10.0.0.0/8'`, `'loopback'`,
 * `'private'`). There is no "everyone": then any client could name any address.
 */
export type TrustProxy = false | number | readonly string[]

const GROUPS: Record<string, readonly string[]> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
}

/**
 * A function from (peer address, X-Forwarded-For) to the client's address: the last one in the
 * chain that no trusted proxy vouched away. What an untrusted peer claims is not read at all; a
 * link of the chain that is no address ends it.
 * @throws InvalidOption for `true` and for what is no network
 */
export function clientAddress(
  trust: TrustProxy,
): (peer: string, forwardedFor?: string | readonly string[]) => string {
  const trusts = trustOf(trust)
  return (peer, forwardedFor) => {
    const chain = (typeof forwardedFor === 'string' ? forwardedFor : (forwardedFor ?? []).join(','))
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
    let client = peer
    for (let hop = 0; chain.length > 0 && trusts(client, hop); hop++) {
      const before = chain
        .pop()!
        .replace(/^"|"$/g, '')
        .replace(/^\[([^\]]+)\](:\d+)?$/, '$1')
      // Some proxies append the port; on IPv4 it cannot be mistaken.
      const bare = before.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
      if (!readable(bare)) break
      client = bare
    }
    return client
  }
}

function trustOf(trust: TrustProxy): (address: string, hop: number) => boolean {
  if (trust === false) return () => false
  if (typeof trust === 'number' && Number.isInteger(trust) && trust >= 0) return (_, hop) => hop < trust
  if (!Array.isArray(trust)) {
    throw new InvalidOption(
      'trust in proxies is neither false, a number of hops nor a list of networks',
      "write for example ['loopback', '10.0.0.0/8']",
    )
  }
  const networks = trust.flatMap((one: string) => GROUPS[one] ?? [one]).map(parseNetwork)
  return (address) => {
    const client = readable(address)
    return client !== undefined && networks.some((network) => contains(network, client))
  }
}

interface Network extends Address {
  readonly bits: number
}

function parseNetwork(text: string): Network {
  const [host = '', length] = text.split('/')
  const address = readable(host)
  const width = address?.version === 4 ? 32 : 128
  const bits = length === undefined ? width : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN
  if (address && bits >= 0 && bits <= width) return { ...address, bits }
  throw new InvalidOption(
    'a trusted proxy is no network',
    "write for example '10.0.0.0/8', '::1' or 'loopback'",
  )
}

function contains(network: Network, address: Address): boolean {
  if (network.version !== address.version) return false
  for (let bit = 0; bit < network.bits; bit += 8) {
    const kept = Math.min(8, network.bits - bit)
    const mask = (0xff << (8 - kept)) & 0xff
    if (((network.bytes[bit / 8]! ^ address.bytes[bit / 8]!) & mask) !== 0) return false
  }
  return true
}

function readable(address: string): Address | undefined {
  try {
    return parseAddress(address)
  } catch {
    return undefined
  }
}
