import type { Letter } from '../backend.ts'
import { letterId } from './layout.ts'
import type { BullJob, BullStore } from './library.ts'

/** Dead letters as jobs that wait in a queue of BullMQ that nobody works on: visible in its tools. */
export class BullLetters {
  readonly #store: BullStore

  constructor(store: BullStore) {
    this.#store = store
  }

  async bury(letters: readonly Letter[]): Promise<void> {
    await Promise.all(
      letters.map((letter) => {
        const { id, partition, text, diedAt } = letter
        // The text is JSON already and stays readable inside.
        const data = `{"id":${JSON.stringify(id)},"partition":${partition},"letter":${text}}`
        // An id that is there already is left as it is: buried twice is once.
        return this.#store.addJob({ name: 'dead letter', data, opts: {}, timestamp: diedAt }, letterId(id))
      }),
    )
  }

  async list(offset: number, count: number): Promise<readonly Letter[]> {
    const [ids = []] = await this.#store.getRanges(['wait'], offset, offset + count - 1, true)
    const jobs = await Promise.all(ids.map((id) => this.#store.getJobData(id)))
    return jobs.flatMap((job) => (job ? [letterOf(job)] : []))
  }

  async get(id: string): Promise<Letter | undefined> {
    const job = await this.#store.getJobData(letterId(id))
    return job && letterOf(job)
  }

  remove(ids: readonly string[]): Promise<readonly boolean[]> {
    return Promise.all(ids.map(async (id) => (await this.#store.remove(letterId(id), false)) === 1))
  }

  async count(): Promise<number> {
    const [waiting = 0] = await this.#store.getCounts(['wait'])
    return waiting
  }
}

function letterOf(job: BullJob): Letter {
  const { id, partition, letter } = JSON.parse(job.data) as { id: string; partition: number; letter: unknown }
  return { id, partition, text: JSON.stringify(letter), diedAt: job.timestamp }
}
