import type { Clock } from './base/clock.ts'
import { type LookOptions, MOST_ON_A_PAGE } from './base/page.ts'
import type { LimitDirectory } from './limit/listing.ts'
import type { LockPage } from './lock/listing.ts'
import type { Locks } from './lock/locks.ts'
import type { Queue } from './queue/queue.ts'
import type { Queues } from './queue/queues.ts'
import type { RedisPort } from './redis/port.ts'
import { countSessions, type SessionCensus } from './session/census.ts'
import type { SessionCounters } from './session/records.ts'
import type { Sessions } from './session/sessions.ts'
import type { TokenCounters } from './token/client.ts'
import type { TokenDirectory } from './token/listing.ts'
import type { Tokens } from './token/tokens.ts'

/**
 * What an operator sees and does by hand, over all processes where Redis is used. Every look is bounded
 * in number and time and goes by SCAN, never by KEYS. Nothing here is for the path of a request.
 */
export interface Operations {
  /** Locks, semaphores and read-write locks that are held or waited for. @throws RedisUnavailable, RedisTimeout */
  locks(options?: LookOptions): Promise<LockPage>
  /**
   * Takes away every lease on what has this name; answers how many there were. Holders learn it at their
   * next renewal; until then their fencing token is out of date.
   */
  evictLock(name: string): Promise<number>
  /** The limiters: their figures, and how to reset a subject. */
  readonly limits: LimitDirectory
  /** How many sessions of each kind there are. @param budgetMs how long to go on counting */
  countSessions(budgetMs: number): Promise<SessionCensus>
  /** The sessions of a kind, also of one that this process has not opened; undefined where there can be none. */
  sessions(name: string): Sessions<Record<string, unknown>> | undefined
  /** What this process counted: sessions by kind, and the tokens of all its clients. Asks nobody. */
  counters(): ClientCounters
  /** OAuth tokens: names, fingerprints and lives. */
  readonly tokens: TokenDirectory
  /** The queues of this process, and with Redis those of others. */
  queues(): Promise<readonly Queue<unknown>[]>
}

export interface ClientCounters {
  readonly sessions: ReadonlyMap<string, SessionCounters>
  readonly tokens: readonly TokenCounters[]
}

export interface OperationsParts {
  readonly namespace: string
  readonly clock: Clock
  readonly data: () => RedisPort | undefined
  readonly locks: () => Locks
  readonly limits: () => LimitDirectory
  /** Those of this process, by name. */
  readonly opened: () => Iterable<readonly [name: string, sessions: Sessions]>
  readonly visit: (name: string) => Sessions
  readonly tokens: () => TokenDirectory
  readonly clients: () => Iterable<Tokens>
  readonly queues: Queues
}

export class InstanceOperations implements Operations {
  readonly #parts: OperationsParts

  constructor(parts: OperationsParts) {
    this.#parts = parts
  }

  get limits(): LimitDirectory {
    return this.#parts.limits()
  }

  get tokens(): TokenDirectory {
    return this.#parts.tokens()
  }

  locks(options?: LookOptions): Promise<LockPage> {
    return this.#parts.locks().list(options)
  }

  evictLock(name: string): Promise<number> {
    return this.#parts.locks().evict(name)
  }

  async countSessions(budgetMs: number): Promise<SessionCensus> {
    const { data, namespace, clock, opened } = this.#parts
    const port = data()
    const here = [...opened()]
    if (port) {
      const { counts, truncated } = await countSessions(port, namespace, clock, budgetMs)
      return { counts: new Map([...here.map(([name]) => [name, 0] as const), ...counts]), truncated }
    }
    const counts = here.map(async ([name, sessions]) => {
      const { sessions: found, cursor } = await sessions.list({ limit: MOST_ON_A_PAGE })
      return { name, count: found.length, more: cursor !== undefined }
    })
    const known = await Promise.all(counts)
    return {
      counts: new Map(known.map(({ name, count }) => [name, count])),
      truncated: known.some(({ more }) => more),
    }
  }

  sessions(name: string): Sessions | undefined {
    for (const [known, sessions] of this.#parts.opened()) if (known === name) return sessions
    return this.#parts.data() ? this.#parts.visit(name) : undefined
  }

  counters(): ClientCounters {
    const { opened, clients } = this.#parts
    return {
      sessions: new Map([...opened()].map(([name, sessions]) => [name, sessions.counters()])),
      tokens: [...clients()].map((tokens) => tokens.counters()),
    }
  }

  queues(): Promise<readonly Queue<unknown>[]> {
    return this.#parts.queues.all()
  }
}
