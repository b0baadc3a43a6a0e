import type { Holdfast } from '../face.ts'
import { dangerousCalls, type Evidence, keyCount, numberOf, type Snapshot } from './evidence.ts'

const KEY = 'doctor'
/** 30 days. */
const KEEP_S = '2592000'

/** What the last examination wrote down; undefined when there was none, or it cannot be read. */
export async function readLast(hf: Holdfast): Promise<Snapshot | undefined> {
  try {
    const text = await hf.redis?.command('GET', KEY)
    const read: unknown = typeof text === 'string' ? JSON.parse(text) : undefined
    return isSnapshot(read) ? read : undefined
  } catch {
    return undefined
  }
}

/** For the next examination: D9, D11 and D17 compare. */
export async function writeLast(hf: Holdfast, { servers, now }: Evidence): Promise<void> {
  const counts = servers.map(({ address, info }) => [
    address,
    {
      runId: info.run_id ?? '',
      evicted: numberOf(info, 'evicted_keys') ?? 0,
      dangerous: dangerousCalls(info),
      keys: keyCount(info),
    },
  ])
  const snapshot = { at: now, servers: Object.fromEntries(counts) }
  // A full or read-only server is a finding of its own.
  await hf.redis?.command('SET', KEY, JSON.stringify(snapshot), 'EX', KEEP_S).catch(() => undefined)
}

function isSnapshot(value: unknown): value is Snapshot {
  if (typeof value !== 'object' || value === null || !('at' in value) || !('servers' in value)) return false
  return typeof value.at === 'number' && typeof value.servers === 'object' && value.servers !== null
}
