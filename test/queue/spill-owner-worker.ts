/** Takes a directory, or appends to the log in it, until it is killed. */
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openLocalLog } from '../../src/queue/local-log.ts'
import { ownDirectory, type SpillOwner } from '../../src/queue/spill-owner.ts'
import { serve, tell } from '../support/processes.ts'
import { parcel } from './spill-tools.ts'

const [directory = ''] = process.argv.slice(2)
// A write beyond the limit that the test sets is an error then, not the end.
process.on('SIGXFSZ', () => {})
let owner: SpillOwner | undefined

serve({
  async own() {
    try {
      owner = await ownDirectory(directory, systemRandom)
      return 'owned'
    } catch (error) {
      return (error as { code?: string }).code
    }
  },
  async release() {
    await owner?.release()
  },
  /** Appends for ever, and tells of each acknowledgement. */
  async append({ fsync, from }) {
    const { log } = await openLocalLog({
      ...{ queue: 'test', directory, clock: systemClock, random: systemRandom, dedupeMs: 0 },
      fsync: fsync as 'always' | 'os',
      maxBytes: 1e9,
    })
    let next = Number(from)
    const adders = Array.from({ length: 8 }, async () => {
      for (;;) {
        const number = next++
        const [entry] = await log.append([parcel(`${number} ${'x'.repeat(number % 300)}`)])
        tell({ added: number })
        if (number % 5 === 0) {
          await log.settle([entry!])
          tell({ settled: number })
        }
      }
    })
    void Promise.all(adders)
    return log.found
  },
  /** Appends until the disk refuses, and says what became of each. */
  async fill() {
    const { log, close } = await openLocalLog({
      ...{ queue: 'test', directory, clock: systemClock, random: systemRandom, dedupeMs: 0 },
      maxBytes: 1e9,
    })
    const kept: number[] = []
    let refused = ''
    for (let number = 0; refused === '' && number < 10_000; number++) {
      try {
        await log.append([parcel(`${number} ${'x'.repeat(700)}`)])
        kept.push(number)
      } catch (error) {
        const { code, cause } = error as { code?: string; cause?: { code?: string } }
        refused = `${code} ${cause?.code}`
      }
    }
    await close()
    return { kept, refused }
  },
})
