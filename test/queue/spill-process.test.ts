import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { QueueUnavailable } from '../../src/queue/errors.ts'
import { openLocalLog } from '../../src/queue/local-log.ts'
import { ownDirectory } from '../../src/queue/spill-owner.ts'
import { startWorker } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { parcel, textsOf } from './spill-tools.ts'

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0
const WORKER = new URL('./spill-owner-worker.ts', import.meta.url)
const directories: string[] = []

function directory(): string {
  directories.push(mkdtempSync(join(tmpdir(), 'holdfast-spill-')))
  return directories.at(-1)!
}

afterAll(() => {
  for (const path of directories) rmSync(path, { recursive: true, force: true })
})

const open = (path: string) =>
  openLocalLog({
    ...{ queue: 'test', directory: path, clock: systemClock, random: systemRandom, dedupeMs: 0 },
  })

describe('the owner of a spill directory', () => {
  it('is one: a second queue is refused, in the same process too, until the first lets go', async () => {
    const path = directory()
    const first = await open(path)
    await expect(open(path)).rejects.toThrow(QueueUnavailable)
    await first.close()
    await (await open(path)).close()
  })

  it('is one process: not while the other lives, frozen or not, and at once when it was killed', async () => {
    const path = directory()
    const other = await startWorker(WORKER, { args: [path] })
    expect(await other.ask({ op: 'own' })).toBe('owned')
    await expect(ownDirectory(path, systemRandom)).rejects.toThrow(QueueUnavailable)
    other.pause()
    await expect(ownDirectory(path, systemRandom)).rejects.toThrow(QueueUnavailable)
    await other.kill()
    const owner = await ownDirectory(path, systemRandom)
    await owner.release()
    expect((await readdir(path)).filter((name) => name.startsWith('draft'))).toEqual([])
  })

  it('is one of many that come at the same moment, over and over', async () => {
    const path = directory()
    const workers = await Promise.all(Array.from({ length: 4 }, () => startWorker(WORKER, { args: [path] })))
    for (let round = 0; round < 25; round++) {
      const answers = await Promise.all(workers.map((worker) => worker.ask({ op: 'own' })))
      expect(answers.filter((answer) => answer === 'owned')).toHaveLength(1)
      expect(answers.filter((answer) => answer === 'QUEUE_UNAVAILABLE')).toHaveLength(3)
      await workers[answers.indexOf('owned')]!.ask({ op: 'release' })
    }
    await Promise.all(workers.map((worker) => worker.kill()))
  })

  it('is told of a path that is too long for a local socket', async () => {
    await expect(ownDirectory(join(directory(), 'x'.repeat(120)), systemRandom)).rejects.toThrow(
      /longer than/,
    )
  })

  it('alone may read the files', async () => {
    const path = join(directory(), 'made')
    const { log, close } = await open(path)
    await log.append([parcel('private')])
    expect((await stat(path)).mode & 0o077).toBe(0)
    for (const name of (await readdir(path)).filter((file) => file.endsWith('.spill')))
      expect((await stat(join(path, name))).mode & 0o077).toBe(0)
    await close()
  })
})

describe('a process that writes the local file', () => {
  for (const fsync of ['always', 'os'] as const) {
    it(`killed with -9 at any moment, has lost nothing it acknowledged (fsync ${fsync}) [S1-20] [B13]`, async () => {
      const path = directory()
      const added = new Set<number>()
      const settled = new Set<number>()
      for (let life = 0; life < 4; life++) {
        const worker = await startWorker(WORKER, { args: [path] })
        let heard = 0
        worker.onMessage((message) => {
          if (typeof message.added === 'number') added.add(message.added)
          if (typeof message.settled === 'number') settled.add(message.settled)
          heard++
        })
        const found = await worker.ask<{ damage: unknown[] }>(
          { op: 'append', fsync, from: life * 1_000_000 },
          60_000,
        )
        expect(found.damage).toEqual([])
        await until('it has written for a while', () => heard > 150 + life * 37, 60_000)
        await worker.kill()
      }
      const { log, close } = await open(path)
      const numbers = (await textsOf(log)).map((text) => Number.parseInt(text ?? '', 10))
      expect(log.found.damage).toEqual([])
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      const there = new Set(numbers)
      const asked = [...added].filter((number) => number % 5 !== 0)
      expect(asked.filter((number) => !there.has(number))).toEqual([])
      expect([...settled].filter((number) => there.has(number))).toEqual([])
      // Nobody may have heard of the last ones of each life; they are whole nevertheless.
      const texts = await textsOf(log)
      expect(texts).toEqual(numbers.map((number) => `${number} ${'x'.repeat(number % 300)}`))
      await close()
    }, 120_000)
  }

  it.skipIf(!hasPrlimit)('whose disk is full gets a typed error, and what it had kept is whole', async () => {
    const path = directory()
    const worker = await startWorker(WORKER, { args: [path] })
    // A real refusal by the system in the middle of a write: no file of this process may pass 64 KiB.
    execFileSync('prlimit', ['--pid', String(worker.pid), '--fsize=65536'])
    const { kept, refused } = await worker.ask<{ kept: number[]; refused: string }>({ op: 'fill' })
    await worker.stop()
    expect(refused).toBe('QUEUE_UNAVAILABLE EFBIG')
    expect(kept.length).toBeGreaterThan(20)
    const { log, close } = await open(path)
    expect(log.found).toMatchObject({ damage: [], tornBytes: 0 })
    expect((await textsOf(log)).map((text) => Number.parseInt(text ?? '', 10))).toEqual(kept)
    await close()
  })
})
