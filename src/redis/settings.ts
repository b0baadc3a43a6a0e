import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { systemRandom } from '../base/random.ts'

/**
 * How a connection is watched over. All times in ms. The defaults notice a frozen server within a
 * second and a slow one within five calls; change them only for networks with unusual round trips.
 */
export interface RedisSettings {
  /** For simulation. Default the system's. */
  readonly clock: Clock
  /** For simulation. Default the system's. */
  readonly random: Random
  /**
   * Connecting, TLS, authentication and proof of role, together. Default 600; doubled after an attempt
   * that ran out of time, up to `LONGEST_HANDSHAKE` times as long.
   */
  readonly handshakeMs: number
  /** What the `gate` hooks of one connection may take together. Default 5000. */
  readonly gateMs: number
  /** After this much silence a PING is sent. Default 250. */
  readonly pingEveryMs: number
  /** Something sent and no reply of any kind for this long: the connection is dead. Default 750. */
  readonly deadAfterMs: number
  /** Role, replication id and server clock are looked at again this often. Default 1000. */
  readonly recheckMs: number
  /** First pause between attempts to connect, ±25 %. Default 100. */
  readonly backoffMinMs: number
  /** Longest pause between attempts to connect, ±25 %. Default 500. */
  readonly backoffMaxMs: number
  /** This many deadlines missed in a row drop the connection. Default 5. */
  readonly breakAfter: number
  /** A deadline that fires later than this after its time is blamed on our own event loop. Default 20. */
  readonly lagMs: number
  /** Calls waiting for an answer on one connection; more are refused. Default 20000. */
  readonly maxPending: number
  /** Least time between two looks at the map of a cluster. Default 250. */
  readonly topologyGapMs: number
}

export const LONGEST_HANDSHAKE = 4

const DEFAULTS: RedisSettings = {
  clock: systemClock,
  random: systemRandom,
  handshakeMs: 600,
  gateMs: 5_000,
  pingEveryMs: 250,
  deadAfterMs: 750,
  recheckMs: 1_000,
  backoffMinMs: 100,
  backoffMaxMs: 500,
  breakAfter: 5,
  lagMs: 20,
  maxPending: 20_000,
  topologyGapMs: 250,
}

export const withDefaults = (given: Partial<RedisSettings>): RedisSettings => ({ ...DEFAULTS, ...given })
