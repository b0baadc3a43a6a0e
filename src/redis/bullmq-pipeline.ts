import type { Arg, Reply } from './link.ts'
import type { RedisNode, RedisPort } from './port.ts'
import type { Script } from './script.ts'

/** What a named script and its arguments come to. */
export type ReadScript = (
  name: string,
  args: readonly unknown[],
) => { readonly script: Script; readonly keys: readonly string[]; readonly rest: readonly Arg[] }

type Step = readonly [key: string, run: (node: RedisNode) => Promise<Reply>, shape: (reply: Reply) => unknown]

/**
 * Several commands in one go, in the shape of BullMQ's `IRedisTransaction`: sent in one tick, or as
 * MULTI … EXEC where all must happen together. Inside MULTI a script travels as text, since a digest
 * that the server does not know would fail there without a second chance.
 */
export class BullmqPipeline {
  readonly #read: ReadScript
  readonly #port: RedisPort
  readonly #deadline: number
  readonly #atomic: boolean
  readonly #steps: Step[] = []

  constructor(read: ReadScript, port: RedisPort, deadline: number, atomic: boolean) {
    this.#read = read
    this.#port = port
    this.#deadline = deadline
    this.#atomic = atomic
  }

  hgetall(key: string): this {
    return this.#add(['HGETALL', key], (reply) => {
      const flat = reply as string[]
      return Object.fromEntries(
        Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]),
      )
    })
  }

  hset(key: string, data: Readonly<Record<string, string | number>>): this {
    return this.#add(['HSET', key, ...Object.entries(data).flat().map(String)])
  }

  hscan(key: string, cursor: string | number, options: { COUNT?: number } = {}): this {
    return this.#add(['HSCAN', key, String(cursor), ...count(options)])
  }

  smembers(key: string): this {
    return this.#add(['SMEMBERS', key])
  }

  sscan(key: string, cursor: string | number, options: { COUNT?: number } = {}): this {
    return this.#add(['SSCAN', key, String(cursor), ...count(options)])
  }

  zrange(key: string, start: number, end: number): this {
    return this.#add(['ZRANGE', key, String(start), String(end)])
  }

  lrange(key: string, start: number, end: number): this {
    return this.#add(['LRANGE', key, String(start), String(end)])
  }

  llen(key: string): this {
    return this.#add(['LLEN', key])
  }

  del(...keys: string[]): this {
    for (const key of keys) this.#add(['DEL', key])
    return this
  }

  runCommand(name: string, args: readonly unknown[]): this {
    const { script, keys, rest } = this.#read(name, args)
    const key = keys[0] ?? ''
    const run = this.#atomic
      ? (node: RedisNode) => this.#send(node, ['EVAL', script.lua, String(keys.length), ...keys, ...rest])
      : (node: RedisNode) => node.eval(script, keys, rest, { deadline: this.#deadline })
    this.#steps.push([key, run, same])
    return this
  }

  async exec(): Promise<[Error | null, unknown][]> {
    const first = this.#steps[0]
    if (!first) return []
    if (!this.#atomic) {
      const replies = await Promise.allSettled(
        this.#steps.map(([key, run, shape]) => run(this.#port.nodeFor(key)).then(shape)),
      )
      return replies.map((it) => (it.status === 'fulfilled' ? [null, it.value] : [it.reason as Error, null]))
    }
    const node = this.#port.nodeFor(first[0])
    const sent = [this.#send(node, ['MULTI']), ...this.#steps.map(([, run]) => run(node))]
    const [replies] = await Promise.all([this.#send(node, ['EXEC']), ...sent])
    if (!Array.isArray(replies)) throw new Error('the transaction was not executed')
    return this.#steps.map(([, , shape], i) => {
      const reply: unknown = replies[i]
      return reply instanceof Error ? [reply, null] : [null, shape(replies[i] as Reply)]
    })
  }

  #add(words: Arg[], shape: (reply: Reply) => unknown = same): this {
    this.#steps.push([String(words[1]), (node) => this.#send(node, words), shape])
    return this
  }

  #send(node: RedisNode, words: readonly Arg[]): Promise<Reply> {
    return node.send(words, { deadline: this.#deadline })
  }
}

const same = (reply: Reply): unknown => reply

const count = (options: { COUNT?: number }): string[] =>
  options.COUNT == null ? [] : ['COUNT', String(options.COUNT)]
