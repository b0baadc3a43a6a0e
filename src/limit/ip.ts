import { isIP } from 'node:net'
import { InvalidKey, InvalidOption } from '../base/errors.ts'

/** How much of an IPv6 address counts. */
export interface IpKeyOptions {
  /** Bits of an IPv6 address that name one client: a site gets at least a /64. 32 to 128. @default 64 */
  readonly v6Prefix?: number | undefined
}

/** An address as bits: 4 or 16 bytes. */
export interface Address {
  readonly version: 4 | 6
  readonly bytes: Uint8Array
}

/**
 * One name per client: IPv4 as it is, IPv6 as its network. IPv4-mapped (`::ffff:0:0/96`) and NAT64
 * (`64:ff9b::/96`, RFC 6052) addresses are read by their bits, however they are spelt, and count as
 * the IPv4 address inside. A zone (`%eth0`) does not matter.
 * @throws InvalidKey for anything else, `1.2.3.4:567` included: a port would be a fresh client each time
 */
export function ipKey(address: string, options: IpKeyOptions = {}): string {
  const bits = options.v6Prefix ?? 64
  if (!Number.isInteger(bits) || bits < 32 || bits > 128) {
    throw new InvalidOption(`v6Prefix is ${bits}`, 'give whole bits from 32 to 128')
  }
  const { version, bytes } = parseAddress(address)
  if (version === 4) return bytes.join('.')
  const groups: string[] = []
  for (let at = 0; at < 16 && at * 8 < bits; at += 2) {
    const both = masked(bytes, at, bits) * 256 + masked(bytes, at + 1, bits)
    groups.push(both.toString(16))
  }
  return bits === 128 ? groups.join(':') : `${groups.join(':')}::/${bits}`
}

/**
 * The bits of an address, mapped and NAT64 forms unwrapped.
 * @throws InvalidKey when it is not an address
 */
export function parseAddress(address: string): Address {
  const bare = typeof address === 'string' ? address.trim().replace(/%[\w.~-]+$/, '') : ''
  const version = isIP(bare)
  if (version === 4) return { version, bytes: v4(bare) }
  if (version !== 6) {
    throw new InvalidKey(
      'an address is neither IPv4 nor IPv6',
      'give it alone, without port, brackets or host name',
    )
  }
  const bytes = v6(bare)
  const mapped = startsWith(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
  const nat64 = startsWith(bytes, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0])
  return mapped || nat64 ? { version: 4, bytes: bytes.subarray(12) } : { version, bytes }
}

const startsWith = (bytes: Uint8Array, head: readonly number[]): boolean =>
  head.every((byte, index) => bytes[index] === byte)

const v4 = (text: string): Uint8Array => Uint8Array.from(text.split('.'), Number)

function v6(text: string): Uint8Array {
  // A dotted tail stands for the last two groups.
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const plain = tail ? tail[1] + dotted(v4(tail[2]!)) : text
  const [head, rest] = plain.split('::')
  const before = head ? head.split(':') : []
  const after = rest ? rest.split(':') : []
  const zeros = plain.includes('::') ? Array<string>(8 - before.length - after.length).fill('0') : []
  const groups = [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16))
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]))
}

const dotted = (bytes: Uint8Array): string =>
  [0, 2].map((at) => (bytes[at]! * 256 + bytes[at + 1]!).toString(16)).join(':')

function masked(bytes: Uint8Array, index: number, bits: number): number {
  const kept = Math.max(0, Math.min(8, bits - index * 8))
  return bytes[index]! & (0xff << (8 - kept)) & 0xff
}
