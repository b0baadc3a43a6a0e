import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Clock } from '../base/clock.ts'
import type { Reach } from './evidence.ts'
import { within } from './within.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/
const PRIVATE =
  /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd][\da-f]{2}:|fe80:)/i
const PRIVATE_NAME = /\.(?:local|internal|lan|home|svc|test|localdomain)$/i
const LOOKUP_MS = 1_000

/** Where an address leads; a name is looked up, for a second at most. A path of a socket is here. */
export async function reachOf(host: string, clock: Clock): Promise<Reach> {
  if (host.includes('/') || LOOPBACK.test(host)) return 'loopback'
  if (isIP(host)) return PRIVATE.test(host) ? 'private' : 'public'
  // Names without a dot are those of containers and services.
  if (!host.includes('.') || PRIVATE_NAME.test(host)) return 'private'
  const looked = lookup(host).then(
    ({ address }) => address,
    () => undefined,
  )
  const found = await within(clock, LOOKUP_MS, looked, undefined)
  if (found === undefined) return 'public'
  return LOOPBACK.test(found) ? 'loopback' : PRIVATE.test(found) ? 'private' : 'public'
}
