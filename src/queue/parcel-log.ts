import type { Parcel, ParcelLog } from './backend.ts'
import { type LocalLogOptions, openLocalLog } from './local-log.ts'
import type { SpillEntry } from './spill-entries.ts'

/** Parcels that one call of `send` gets at most. */
const REPLAY_PARCELS = 64

/** Where parcels wait while Redis is away: opens the local file, with what an earlier process left in it. */
export async function openParcelLog(options: Omit<LocalLogOptions, 'dedupeMs'>): Promise<ParcelLog> {
  const { log, close } = await openLocalLog({ ...options, dedupeMs: 0 })
  let replaying = Promise.resolve()

  const replay = async (send: (parcels: readonly Parcel[]) => Promise<void>): Promise<void> => {
    for (;;) {
      const entries = first(log.parcels.values(), REPLAY_PARCELS)
      if (entries.length === 0) return
      const texts = await log.read(entries)
      const parcels = entries.flatMap((entry, index) => {
        const text = texts[index]
        const { id, partition, count, at } = entry
        return text === undefined ? [] : [{ id, partition, count, at, text }]
      })
      if (parcels.length > 0) await send(parcels)
      await log.settle(entries)
    }
  }

  return {
    get parcels() {
      return log.parcels.size
    },
    get messages() {
      return log.messages
    },
    get bytes() {
      return log.bytes
    },
    get oldestAt() {
      return first(log.parcels.values(), 1)[0]?.at
    },
    async append(parcels) {
      await log.append(parcels)
    },
    replay(send) {
      const run = replaying.then(() => replay(send))
      replaying = run.catch(() => {})
      return run
    },
    close,
  }
}

function first(entries: Iterable<SpillEntry>, count: number): SpillEntry[] {
  const found: SpillEntry[] = []
  for (const entry of entries) {
    if (found.length === count) break
    found.push(entry)
  }
  return found
}
