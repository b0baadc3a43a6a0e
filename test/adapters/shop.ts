/** The application that every adapter of the contract serves, without a framework. */
import type { Holdfast } from '../../src/holdfast.ts'

export interface Task {
  title: string
  version: number
}

/** Where the tasks really are: shared by the processes of one run. */
export interface Truth {
  get(id: string): Promise<Task | undefined>
  set(id: string, task: Task): Promise<void>
  delete(id: string): Promise<void>
}

export function memoryTruth(): Truth {
  const tasks = new Map<string, Task>()
  return {
    get: async (id) => tasks.get(id),
    set: async (id, task) => void tasks.set(id, task),
    delete: async (id) => void tasks.delete(id),
  }
}

/** In the same Redis, past the cache. */
export function redisTruth(holdfast: Holdfast): Truth {
  const command = (name: string, id: string, ...args: string[]) => {
    if (!holdfast.redis) throw new Error('there is no Redis')
    return holdfast.redis.command(name, `truth:${id}`, ...args)
  }
  return {
    async get(id) {
      const text = await command('GET', id)
      return text === null ? undefined : (JSON.parse(String(text)) as Task)
    },
    async set(id, task) {
      await command('SET', id, JSON.stringify(task))
    },
    async delete(id) {
      await command('DEL', id)
    },
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What the handlers do, and how often each was called in this process. */
export class Shop {
  readonly holdfast: Holdfast
  readonly truth: Truth
  readonly calls: Record<string, number> = {}
  #orders = 0

  constructor(holdfast: Holdfast, truth: Truth) {
    this.holdfast = holdfast
    this.truth = truth
  }

  called(name: string): void {
    this.calls[name] = (this.calls[name] ?? 0) + 1
  }

  async task(id: string): Promise<Task | undefined> {
    this.called(`task ${id}`)
    return this.truth.get(id)
  }

  async patch(id: string, title: string): Promise<Task> {
    const before = await this.truth.get(id)
    const task = { title, version: (before?.version ?? 0) + 1 }
    await this.truth.set(id, task)
    return task
  }

  list(): { call: number } {
    this.called('list')
    return { call: this.calls.list ?? 0 }
  }

  /** What a handler with a validator answers: `same` where it was asked with the one that holds. */
  confirm(ifNoneMatch: string | undefined): 'same' | 'whole' {
    this.called(ifNoneMatch === '"v1"' ? 'confirmed' : 'whole')
    return ifNoneMatch === '"v1"' ? 'same' : 'whole'
  }

  async order(body: unknown, ms = 0): Promise<{ order: number; of: string; body: unknown }> {
    this.called('order')
    if (ms > 0) await pause(ms)
    return { order: ++this.#orders, of: `${process.pid}`, body }
  }

  async slow(ms: number): Promise<{ slept: number }> {
    this.called('slow')
    await pause(ms)
    return { slept: ms }
  }

  /** Chunks of a body that no framework sends in one piece. */
  *chunks(): Generator<Buffer> {
    this.called('stream')
    for (let n = 0; n < 40; n++) yield Buffer.alloc(5_000, 97 + (n % 26))
  }

  async *brokenChunks(): AsyncGenerator<Buffer> {
    this.called('broken')
    yield Buffer.alloc(1_000, 'x')
    await pause(5)
    throw new Error('the source broke off')
  }

  boom(): never {
    this.called('boom')
    throw Object.assign(new Error('kaboom'), { statusCode: 418 })
  }
}

/** Words for the routes, the same in every framework. */
export const ROUTES = {
  task: { ttl: '5m', tags: ['tasks'] },
  taskWrite: {},
  list: { ttl: '5m', tags: ['tasks'] },
  stream: { ttl: '5m' },
  boom: { ttl: '5m' },
  stale: { ttl: 50, stale: '5m' },
  /** Stale at once, and confirmed by a validator of the handler's own. */
  confirmed: { ttl: 1 },
} as const

/** What a session of the contract holds. */
export interface Cart {
  items: string[]
}

/** For limiters: the machine may be busy, and what is tested is not haste. */
export const PATIENT = { deadline: '5s' } as const
