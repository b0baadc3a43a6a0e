/**
 * The proof of the queue: messages from several producer processes over many sessions to several
 * worker processes into a real PostgreSQL, while producers and workers are killed with -9, a worker
 * freezes, Redis restarts and goes away, the database goes away, some messages are poison and many
 * are added more than once. Afterwards: every acknowledged message is in the table once, in order
 * per session, with its second effect once; every poison message is a dead letter; nothing else is
 * there.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { holdfast } from '../../../src/holdfast.ts'
import type { Queue } from '../../../src/queue/queue.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts'
import { startWorker, type Worker } from '../../support/processes.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Ending, judge } from './judge.ts'
import {
  idOf,
  lengthOf,
  messageAt,
  NAMESPACE,
  type ProofMessage,
  type ProofPlan,
  QUEUE,
  queueOptions,
  sessionsOf,
} from './plan.ts'

export interface Verdict {
  /** What is wrong, in words; empty when all is well. */
  readonly violations: readonly string[]
  readonly figures: Readonly<Record<string, string | number>>
}

type Say = (line: string) => void

export async function prove(plan: ProofPlan, say: Say = () => {}): Promise<Verdict> {
  // Inside the project, so that the bundled processes find its packages.
  const cache = fileURLToPath(new URL('../../../node_modules/.cache/', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const directory = mkdtempSync(join(cache, 'proof-'))
  const redis = await startRedis({ aof: 'always', config: { 'maxmemory-policy': 'noeviction' } })
  const postgres = await startPostgres()
  const run = new Run(plan, redis, postgres, directory, say)
  try {
    return await run.prove()
  } finally {
    await run.end()
    await Promise.all([redis.stop(), postgres.stop()])
    rmSync(directory, { recursive: true, force: true })
  }
}

class Run {
  readonly #plan: ProofPlan
  readonly #redis: RedisServer
  readonly #postgres: PostgresServer
  readonly #directory: string
  readonly #say: Say
  readonly #acknowledged = new Set<string>()
  readonly #finished = new Set<number>()
  readonly #producers: Worker[] = []
  readonly #workers: Worker[] = []
  readonly #faults: string[] = []
  readonly #complaints: string[] = []
  /** By what a process last said; what it did after that and before it was killed is not in them. */
  readonly #counts = new Map<Worker, Record<string, number>>()
  /** How far producers may go, as a share of their messages. */
  #gate = 0
  #mostSpilled = 0
  #files = { producer: '', worker: '' }

  constructor(plan: ProofPlan, redis: RedisServer, postgres: PostgresServer, directory: string, say: Say) {
    this.#plan = plan
    this.#redis = redis
    this.#postgres = postgres
    this.#directory = directory
    this.#say = say
  }

  async prove(): Promise<Verdict> {
    const { workers, producers } = this.#plan
    const schedule = this.#schedule()
    this.#gate = schedule[0]![0]
    this.#files = await bundled(this.#directory)
    await this.#postgres.query(
      'CREATE TABLE messages (position bigserial, id text PRIMARY KEY, session text NOT NULL, n int NOT NULL, text text)',
    )
    await this.#postgres.query('CREATE TABLE counts (session text PRIMARY KEY, n int NOT NULL)')
    const started = performance.now()
    await Promise.all([
      ...Array.from({ length: workers }, (_, n) => this.#startWorker(n)),
      ...Array.from({ length: producers }, (_, n) => this.#startProducer(n)),
    ])
    for (const [index, [share, what]] of schedule.entries()) {
      await this.#until(
        `${share * 100} % are acknowledged`,
        () => this.#acknowledged.size >= Math.floor(share * this.#total),
      )
      // Adding goes on through each fault, and no further than to the next.
      this.#openGate(schedule[index + 1]?.[0] ?? 1)
      await what()
    }
    await this.#until('all producers have finished', () => this.#finished.size === producers)
    const addedMs = performance.now() - started
    this.#say(`all ${this.#acknowledged.size} are acknowledged after ${seconds(addedMs)}`)
    const late = await this.#withQueue((queue) => this.#addAgain(queue))
    await this.#withQueue((queue) => this.#drain(queue))
    const totalMs = performance.now() - started
    const dead = await this.#withQueue(async (queue) =>
      (await queue.dead.list({ count: 10_000 })).map(({ id }) => id),
    )
    for (const worker of this.#workers) await worker.stop()
    const violations = judge(this.#plan, await this.#ending(dead))
    return { violations, figures: this.#figures(addedMs, totalMs, late, dead.length, violations.length) }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#producers, ...this.#workers].map((process) => process.kill()))
  }

  /** When what happens, by the share of messages that are acknowledged. */
  #schedule(): [number, () => Promise<void>][] {
    const { outageMs, takeoverMs } = this.#plan
    return [
      [0.06, () => this.#killWorker(0)],
      [0.1, () => this.#killProducer(0)],
      [0.14, () => this.#killProducer(1)],
      [0.2, () => this.#restartRedis()],
      [0.28, () => this.#killWorker(1)],
      [0.34, () => this.#freezeWorker(2, 1.5 * takeoverMs)],
      [0.42, () => this.#stopRedis(outageMs)],
      [0.55, () => this.#killWorker(3)],
      [0.58, () => this.#killProducer(3)],
      [0.64, () => this.#stopDatabase(outageMs)],
      [0.76, () => this.#killProducer(2)],
      [0.8, () => Promise.all(this.#workers.map((_, n) => this.#killWorker(n))).then(() => {})],
      [0.9, () => this.#restartRedis()],
    ]
  }

  #openGate(share: number): void {
    this.#gate = share
    for (const producer of this.#producers) {
      // One that is killed meanwhile hears of it when it starts again.
      if (producer.alive) void producer.ask({ op: 'gate', share }, 120_000).catch(() => {})
    }
  }

  async #startWorker(n: number): Promise<void> {
    const worker = await startWorker(this.#files.worker, {
      args: [this.#redis.url, this.#postgres.url, JSON.stringify(this.#plan)],
      readyMs: 120_000,
    })
    this.#workers[n] = worker
    this.#follow(worker, 'worker', n)
  }

  async #startProducer(n: number): Promise<void> {
    const producer = await startWorker(this.#files.producer, {
      args: [this.#redis.url, String(n), join(this.#directory, `p${n}`), JSON.stringify(this.#plan)],
      readyMs: 120_000,
    })
    this.#producers[n] = producer
    this.#follow(producer, 'producer', n)
    const from = Object.fromEntries(
      sessionsOf(this.#plan, n).map((session) => [session, this.#nextOf(session)]),
    )
    await producer.ask({ op: 'produce', from, share: this.#gate }, 120_000)
  }

  #follow(process: Worker, kind: string, n: number): void {
    const counts: Record<string, number> = {}
    this.#counts.set(process, counts)
    process.onMessage((message) => {
      const { acknowledged, errors, spilled } = message
      if (Array.isArray(acknowledged)) for (const id of acknowledged) this.#acknowledged.add(String(id))
      if (message.finished === true) this.#finished.add(n)
      if (message.fault !== undefined) this.#complaints.push(`${kind} ${n}: ${String(message.fault)}`)
      if (typeof spilled === 'number') this.#mostSpilled = Math.max(this.#mostSpilled, spilled)
      for (const [name, value] of Object.entries({ ...message, ...(errors as object) })) {
        if (typeof value === 'number') counts[name] = value
      }
    })
  }

  /** Where a producer goes on: the first that nobody heard of as acknowledged. */
  #nextOf(session: string): number {
    let n = 0
    while (this.#acknowledged.has(idOf(session, n))) n++
    return n
  }

  async #killWorker(which: number): Promise<void> {
    const n = which % this.#plan.workers
    this.#note(`worker ${n} killed with -9`)
    await this.#workers[n]!.kill()
    await this.#startWorker(n)
  }

  async #killProducer(which: number): Promise<void> {
    const n = which % this.#plan.producers
    this.#note(`producer ${n} killed with -9`)
    await this.#producers[n]!.kill()
    await this.#startProducer(n)
  }

  async #freezeWorker(which: number, ms: number): Promise<void> {
    const n = which % this.#plan.workers
    this.#note(`worker ${n} frozen for ${seconds(ms)}`)
    this.#workers[n]!.pause()
    await sleep(ms)
    this.#workers[n]!.resume()
  }

  async #restartRedis(): Promise<void> {
    this.#note('Redis killed with -9 and restarted from its append-only file')
    await this.#redis.kill()
    await this.#redis.restart({ keepData: true })
  }

  async #stopRedis(ms: number): Promise<void> {
    this.#note(`Redis away for ${seconds(ms)}`)
    await this.#redis.kill()
    await sleep(ms)
    await this.#redis.restart({ keepData: true })
  }

  async #stopDatabase(ms: number): Promise<void> {
    this.#note(`the database away for ${seconds(ms)}`)
    await this.#postgres.kill()
    await sleep(ms)
    await this.#postgres.restart()
  }

  async #withQueue<R>(work: (queue: Queue<ProofMessage>) => Promise<R>): Promise<R> {
    const hf = holdfast({ redis: this.#redis.url, namespace: NAMESPACE })
    try {
      await hf.redis?.command('PING', 'unused').catch(() => {})
      return await work(hf.queue<ProofMessage>(QUEUE, queueOptions(this.#plan)))
    } finally {
      await hf.close()
    }
  }

  /** Once more, long after: some of those that are in the table already. */
  async #addAgain(queue: Queue<ProofMessage>): Promise<number> {
    const sessions = Array.from({ length: this.#plan.sessions }, (_, n) => `s${n}`)
    const again = sessions.flatMap((session) => [0, 1, 2, 11].map((n) => messageAt(this.#plan, session, n)))
    await queue.addMany(again)
    return again.length
  }

  /** As long as the depth changes, it goes on, however slow the machine. */
  async #drain(queue: Queue<ProofMessage>): Promise<void> {
    let depth = -1
    let end = 0
    for (;;) {
      const stats = await queue.stats()
      if (stats.depth === 0) return
      if (stats.depth !== depth) end = performance.now() + PATIENCE_MS
      depth = stats.depth
      if (performance.now() > end) throw new Error(`not drained: ${JSON.stringify(stats)}\n${this.#output()}`)
      await sleep(50)
    }
  }

  async #ending(dead: readonly string[]): Promise<Ending> {
    const rows = await this.#postgres.query('SELECT id, session, n FROM messages ORDER BY position')
    const counts = await this.#postgres.query('SELECT session, n FROM counts')
    return {
      acknowledged: this.#acknowledged,
      rows: rows.map(({ id, session, n }) => ({ id: String(id), session: String(session), n: Number(n) })),
      effects: new Map(counts.map(({ session, n }) => [String(session), Number(n)])),
      dead,
    }
  }

  #figures(
    addedMs: number,
    totalMs: number,
    late: number,
    dead: number,
    violations: number,
  ): Verdict['figures'] {
    const all = [...this.#counts.values()]
    const sum = (name: string) => all.reduce((total, counts) => total + (counts[name] ?? 0), 0)
    const { sessions, producers, workers } = this.#plan
    return {
      messages: this.#total,
      acknowledged: this.#acknowledged.size,
      'sessions / producers / workers': `${sessions} / ${producers} / ${workers}`,
      'rows that must be in the table': this.#total - dead,
      'dead letters': dead,
      'duplicates injected, at least': sum('duplicates') + late,
      'messages handed to handlers, at least': sum('handled'),
      'of those, marked as possibly seen before': sum('redelivered'),
      'handler calls that failed, at least': sum('failed'),
      'adds refused, and tried again': sum('QUEUE_UNAVAILABLE'),
      'adds of unknown outcome, added again by id': sum('QUEUE_UNCERTAIN'),
      'most messages in one local file': this.#mostSpilled,
      'faults injected': this.#faults.length,
      'adding took': seconds(addedMs),
      'until all was in the table': seconds(totalMs),
      violations,
    }
  }

  get #total(): number {
    return lengthOf(this.#plan) * this.#plan.sessions
  }

  #note(what: string): void {
    this.#faults.push(what)
    this.#say(`${String(this.#acknowledged.size).padStart(7)} acknowledged: ${what}`)
  }

  #output(): string {
    return [...this.#producers, ...this.#workers].map((process) => process.output()).join('\n')
  }

  async #until(what: string, check: () => boolean): Promise<void> {
    let seen = -1
    let end = 0
    while (!check()) {
      if (this.#complaints.length > 0) throw new Error(this.#complaints.join('\n'))
      // As long as something is acknowledged, it goes on, however slow the machine.
      if (this.#acknowledged.size > seen) end = performance.now() + PATIENCE_MS
      seen = this.#acknowledged.size
      if (performance.now() > end) {
        throw new Error(`stood still at ${seen}, in vain until ${what}\n${this.#output()}`)
      }
      await sleep(10)
    }
  }
}

const PATIENCE_MS = 180_000

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** Both kinds of process as one plain file each, so that one that was killed is back soon. */
async function bundled(directory: string): Promise<{ producer: string; worker: string }> {
  await build({
    entryPoints: ['producer', 'worker'].map((name) =>
      fileURLToPath(new URL(`./${name}.ts`, import.meta.url)),
    ),
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
  })
  return { producer: join(directory, 'producer.mjs'), worker: join(directory, 'worker.mjs') }
}
