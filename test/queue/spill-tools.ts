import { systemRandom } from '../../src/base/random.ts'
import type { Parcel } from '../../src/queue/backend.ts'
import type { SpillDisk } from '../../src/queue/spill-disk.ts'
import { SpillLog, type SpillLogOptions } from '../../src/queue/spill-log.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

export function loadLog(disk: SpillDisk, options: Partial<SpillLogOptions> = {}): Promise<SpillLog> {
  return SpillLog.load({
    disk,
    clock: new FakeClock(),
    random: systemRandom,
    queue: 'test',
    fsync: 'always',
    maxBytes: 1_000_000,
    dedupeMs: 60_000,
    ...options,
  })
}

let made = 0

export function parcel(text: string, partition = 0, count = 1): Parcel {
  return { id: `p${++made}`, partition, text, count, at: 1_700_000_000_000 + made }
}

/** The texts of all parcels that wait, in order. */
export async function textsOf(log: SpillLog): Promise<(string | undefined)[]> {
  return log.read([...log.parcels.values()])
}

export async function letterTexts(log: SpillLog): Promise<Record<string, string | undefined>> {
  const entries = [...log.letters.values()]
  const texts = await log.read(entries)
  return Object.fromEntries(entries.map(({ id }, index) => [id, texts[index]]))
}
