import type { FaultRates } from './faults.ts'
import type { Latency } from './network.ts'
import type { WorkloadShape } from './workload.ts'

export interface Mix {
  readonly faults: FaultRates
  readonly latency: Latency
}

const QUICK: Latency = { low: 0.05, high: 0.6, tailShare: 0.002, tail: 5 }
const TAILED: Latency = { low: 0.05, high: 1.5, tailShare: 0.08, tail: 60 }

const NETWORK: FaultRates = { cut: 900, cutUnnoticed: 3_000, stall: 250, swallow: 1_500 }
const DATA: FaultRates = { evict: 30, flushAll: 1_500, scriptFlush: 700 }

/** What goes wrong. Calm ones matter: with everything on, slow barriers hide fast races. */
export const MIXES: Record<string, Mix> = {
  calm: { faults: {}, latency: QUICK },
  tail: { faults: {}, latency: TAILED },
  network: { faults: NETWORK, latency: TAILED },
  freeze: { faults: { freezeProcess: 250, freezeServer: 1_500 }, latency: QUICK },
  kill: { faults: { killProcess: 700, cut: 1_500 }, latency: TAILED },
  asleep: { faults: { suspendProcess: 500, wallStep: 5_000 }, latency: QUICK },
  stepped: { faults: { wallStep: 80, freezeProcess: 600 }, latency: QUICK },
  evict: { faults: { evict: 4, flushAll: 1_000 }, latency: QUICK },
  /** The server answers reads and refuses writes, for longer than an invalidation waits. */
  refusing: { faults: { misconf: 800 }, latency: QUICK },
  memory: { faults: { outOfMemory: 400, misconf: 1_500, evict: 50 }, latency: QUICK },
  /** Single links stand still for a while: what is unordered gets out of order. */
  stall: { faults: { stall: 25 }, latency: QUICK },
  /** Answers of one link arrive long after those of another. */
  replies: { faults: { stallReplies: 40 }, latency: QUICK },
  /** Links break all the time, also while others are being opened. */
  cuts: { faults: { cut: 60, cutUnnoticed: 2_000 }, latency: TAILED },
  /** A server far away: whatever is on its way is so for long. */
  far: { faults: { cut: 300 }, latency: { low: 8, high: 35, tailShare: 0.02, tail: 150 } },
  restart: { faults: { restart: 900, scriptFlush: 900 }, latency: QUICK },
  failover: { faults: { failover: 700, cut: 2_000 }, latency: QUICK },
  pingpong: { faults: { failover: 900, pingPong: 600 }, latency: TAILED },
  everything: {
    faults: {
      ...NETWORK,
      ...DATA,
      freezeProcess: 1_300,
      suspendProcess: 2_500,
      killProcess: 2_500,
      wallStep: 2_000,
      freezeServer: 2_000,
      outOfMemory: 2_000,
      misconf: 5_000,
      restart: 3_000,
      failover: 3_000,
      pingPong: 4_000,
    },
    latency: TAILED,
  },
}

export interface Mode {
  readonly l1: boolean
  /** @default 4 */
  readonly processes?: number
  readonly shape: WorkloadShape
}

const PLAIN: WorkloadShape = {
  tags: 'static',
  writes: 0.06,
  loadMs: 66,
  loadErrors: 0.01,
  think: 12,
  read: { ttl: 60_000, stale: 0, soft: 0, staleIfError: false },
  extras: false,
  soft: false,
}

/** How the cache is used. */
export const MODES: Record<string, Mode> = {
  static: { l1: true, shape: PLAIN },
  dynamic: { l1: true, shape: { ...PLAIN, tags: 'dynamic' } },
  l2: { l1: false, shape: PLAIN },
  rich: { l1: true, shape: { ...PLAIN, extras: true } },
  /** Short lives and soft invalidations, stale values allowed. */
  stale: {
    l1: true,
    shape: {
      ...PLAIN,
      extras: true,
      soft: true,
      read: { ttl: 300, stale: 2_000, soft: 5, staleIfError: false },
    },
  },
  /** Soft invalidations where each caller waits for the reload. */
  strict: {
    l1: true,
    shape: {
      ...PLAIN,
      soft: true,
      loadErrors: 0,
      read: { ttl: 300, stale: 2_000, soft: false, staleIfError: false },
    },
  },
  /** One process: nobody else's confirmation covers for its own haste. */
  solo: { l1: true, processes: 1, shape: { ...PLAIN, writes: 0.15, think: 4 } },
  /** Loads so short that values come and go within one round trip. */
  quick: { l1: true, shape: { ...PLAIN, loadMs: 3, writes: 0.2, think: 6 } },
  /** Many writes of every kind. */
  busy: { l1: true, shape: { ...PLAIN, extras: true, writes: 0.25 } },
  /** Long loads beside quick ones, on few keys. */
  slow: { l1: true, shape: { ...PLAIN, loadMs: 250, writes: 0.12 } },
}
