import { describe, expect, it } from 'vitest'
import { argsKey } from '../../src/cache/args-key.ts'
import { createCache } from '../../src/cache/create.ts'
import { cached, invalidates } from '../../src/cache/decorators.ts'

/** The second argument that a standard decorator gets; only `kind` and `name` are looked at. */
const context = (name: string) => ({ kind: 'method', name }) as unknown as ClassMethodDecoratorContext // a stand-in

class Tasks {
  reads = 0
  readonly rows = new Map([[7, 'old']])
  async find(id: number) {
    this.reads++
    return this.rows.get(id)
  }
  async update(id: number, text: string) {
    if (text === '') throw new Error('refused')
    this.rows.set(id, text)
    return text
  }
}

type Method = (this: Tasks, ...args: never[]) => Promise<unknown>

/** Applies a decorator to a method in one of the two conventions. */
const conventions: Record<
  string,
  (target: Tasks, name: 'find' | 'update', decorator: ReturnType<typeof cached>) => void
> = {
  standard(target, name, decorator) {
    const method = decorator(target[name] as Method, context(name))
    Object.defineProperty(target, name, { value: method })
  },
  legacy(target, name, decorator) {
    const descriptor = Object.getOwnPropertyDescriptor(Tasks.prototype, name)!
    Object.defineProperty(target, name, decorator(Tasks.prototype, name, descriptor))
  },
}

describe.each(Object.entries(conventions))('decorators in the %s convention', (_, apply) => {
  const setUp = () => {
    const cache = createCache()
    const tasks = new Tasks()
    return { cache, tasks }
  }

  it('cache a method by its arguments, with its own `this` [S3-16]', async () => {
    const { cache, tasks } = setUp()
    apply(tasks, 'find', cached({ cache, prefix: 'task', ttl: 300_000 }))
    expect(await tasks.find(7)).toBe('old')
    expect(await tasks.find(7)).toBe('old')
    expect(tasks.reads).toBe(1)
    expect(await tasks.find(8)).toBeUndefined()
    expect(await cache.get('task:7')).toBe('old')
  })

  it('invalidate after a success only, by key, tag and pattern [S3-17]', async () => {
    const { cache, tasks } = setUp()
    apply(tasks, 'find', cached({ cache: () => cache, prefix: 'task', tags: ['tasks'] }))
    apply(
      tasks,
      'update',
      invalidates({ cache, patterns: ['task:*'], keys: (id: number) => [`list:${id}`], tags: ['lists'] }),
    )
    await cache.set('list:7', 1)
    await cache.set('list:all', 1, { tags: ['lists'] })
    await tasks.find(7)
    await expect(tasks.update(7, '')).rejects.toThrow('refused')
    expect(await cache.has('task:7')).toBe(true)
    expect(await tasks.update(7, 'new')).toBe('new')
    expect([...(await cache.getMany(['task:7', 'list:7', 'list:all'])).keys()]).toEqual([])
    expect(await tasks.find(7)).toBe('new')
  })
})

describe('decorators', () => {
  it('are found on the cache itself too', async () => {
    const cache = createCache()
    const tasks = new Tasks()
    conventions.standard!(tasks, 'find', cache.cached({ prefix: 'task' }))
    conventions.standard!(tasks, 'update', cache.invalidates({ patterns: ['task:*'] }))
    await tasks.find(7)
    await tasks.update(7, 'new')
    expect(await tasks.find(7)).toBe('new')
  })

  it('refuse what cannot work: no prefix, no method, nothing to invalidate', () => {
    const cache = createCache()
    expect(() => cached({ cache })).toThrow(/prefix/)
    expect(() => invalidates({ cache })(Tasks.prototype, 'find', { value: () => 1 })).toThrow(/names nothing/)
    expect(() => cached({ cache, prefix: 'p' })(Tasks.prototype, 'reads', { value: 1 })).toThrow(/method/)
    expect(() =>
      cache.cached(
        (
          () => async (id: number) =>
            id
        )(),
      ),
    ).toThrow(/no name/)
  })
})

describe('keys made of arguments', () => {
  it('are equal for equal arguments, and only for those', () => {
    expect(argsKey('task', [7])).toBe('task:7')
    expect(argsKey('task', ['a:b'])).toBe('task:a:b')
    expect(argsKey('task', [])).toBe('task')
    expect(argsKey('t', [{ b: 1, a: [2] }])).toBe(argsKey('t', [{ a: [2], b: 1 }]))
    expect(argsKey('t', [7, undefined])).toBe('t:7')
    const different: unknown[][] = [
      ['a', 'b'],
      ['a,b'],
      ['["a","b"]'],
      [['a', 'b']],
      [null],
      ['null', 1],
      [true],
      [{}],
      [''],
      [1n],
      [new Date(1)],
      [NaN, 1],
      [undefined, 1],
    ]
    expect(new Set(different.map((args) => argsKey('t', args))).size).toBe(different.length)
  })

  it('are refused for what has no content to compare', () => {
    const circle: unknown[] = []
    circle.push(circle)
    for (const arg of [() => 1, Symbol('x'), new Map(), circle])
      expect(() => argsKey('t', [arg])).toThrow(/INVALID_KEY/)
  })
})
