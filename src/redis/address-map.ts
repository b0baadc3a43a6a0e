import { formatAddress } from './address.ts'
import type { Target } from './link.ts'

/**
 * What clients call natMap or nodeAddressMap: from the address a server announces to the one that
 * can be reached from here. A record by `host:port`, or a function of it.
 */
export function addressMap(given: unknown): (target: Target) => Target {
  if (typeof given !== 'function' && (typeof given !== 'object' || given === null)) return (target) => target
  return (target) => {
    const key = formatAddress(target.host, target.port)
    const found: unknown = typeof given === 'function' ? given(key) : (given as Record<string, unknown>)[key]
    if (typeof found !== 'object' || found === null || !('host' in found) || !('port' in found)) return target
    return { host: String(found.host), port: Number(found.port) }
  }
}
