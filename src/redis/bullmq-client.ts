import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { BullmqPipeline, type ReadScript } from './bullmq-pipeline.ts'
import type { Arg, Reply } from './link.ts'
import type { RedisPort } from './port.ts'
import { defineScript, type Script } from './script.ts'

export interface BullmqClientOptions {
  /** What commands go through. Not closed by the client unless `owned`. */
  readonly port: RedisPort
  readonly owned?: boolean
  /** Opens a connection that may be silent while it blocks, for `duplicate`. */
  readonly openBlocking: () => RedisPort
  /** Until a command that does not block is given up, ms. */
  readonly deadline: number
  /** How long a command waits for a connection that is not there yet, ms; 0 fails at once. */
  readonly patience: number
}

type Fields = Readonly<Record<string, string | number>>

/**
 * A Redis client in the shape that BullMQ 6 takes as `connection` (its `IRedisClient`), over our
 * supervised port. So BullMQ speaks through the same connections, deadlines, libraries and
 * topologies as everything else, and needs neither a URL nor a client library of its own. Only the
 * commands that BullMQ uses are here.
 */
export class BullmqClient extends EventEmitter {
  /** False for a Cluster too: each script goes to the node of its first key, as a queue's keys share a slot. */
  readonly isCluster = false
  /** BullMQ looks for `keyPrefix` and `maxRetriesPerRequest` here: neither is set. */
  readonly options: Record<string, unknown> = {}
  /** `ready` from the start: a command waits for its connection by itself. `end` after `quit`. */
  status = 'ready'
  readonly #setup: BullmqClientOptions
  readonly #scripts = new Map<string, { readonly script: Script; readonly keys: number }>()

  constructor(setup: BullmqClientOptions) {
    super()
    this.#setup = setup
    this.setMaxListeners(0)
  }

  async connect(): Promise<void> {
    this.status = 'ready'
  }

  disconnect(reconnect = false): void {
    if (reconnect) return
    this.#end()
  }

  async quit(): Promise<string> {
    this.#end()
    return 'OK'
  }

  /** A client of its own connection, closed with it: BullMQ blocks on it. */
  duplicate(): BullmqClient {
    const { openBlocking, deadline } = this.#setup
    const copy = new BullmqClient({
      port: openBlocking(),
      owned: true,
      openBlocking,
      deadline,
      patience: Math.max(this.#setup.patience, deadline),
    })
    for (const [name, script] of this.#scripts) copy.#scripts.set(name, script)
    return copy
  }

  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void {
    if (this.#scripts.has(name)) return
    this.#scripts.set(name, { script: defineScript(name, definition.lua), keys: definition.numberOfKeys })
  }

  runCommand(name: string, args: readonly unknown[]): Promise<Reply> {
    const { script, keys, rest } = this.#read(name, args)
    return this.#over(keys[0] ?? '', this.#setup.deadline, (node, deadline) =>
      node.eval(script, keys, rest, { deadline }),
    )
  }

  /** `undefined` and `null` are the empty string. */
  readonly #read: ReadScript = (name, args) => {
    const known = this.#scripts.get(name)
    if (!known) throw new Error(`no script of the name ${name} was defined`)
    const flat = args.length === 1 && Array.isArray(args[0]) ? (args[0] as readonly unknown[]) : args
    const rest = flat.slice(known.keys)
    return { script: known.script, keys: flat.slice(0, known.keys).map(String), rest: rest.map(argOf) }
  }

  multi(): BullmqPipeline {
    return new BullmqPipeline(this.#read, this.#setup.port, this.#setup.deadline, true)
  }

  pipeline(): BullmqPipeline {
    return new BullmqPipeline(this.#read, this.#setup.port, this.#setup.deadline, false)
  }

  async hgetall(key: string): Promise<Record<string, string>> {
    return pairs(await this.#send('HGETALL', key))
  }

  hget(key: string, field: string): Promise<Reply> {
    return this.#send('HGET', key, field)
  }

  hmget(key: string, ...fields: string[]): Promise<Reply> {
    return this.#send('HMGET', key, ...fields)
  }

  hset(key: string, data: Fields): Promise<Reply> {
    return this.#send('HSET', key, ...flatten(data))
  }

  hdel(key: string, ...fields: string[]): Promise<Reply> {
    return this.#send('HDEL', key, ...fields)
  }

  hexists(key: string, field: string): Promise<Reply> {
    return this.#send('HEXISTS', key, field)
  }

  get(key: string): Promise<Reply> {
    return this.#send('GET', key)
  }

  set(key: string, value: string | number, options: { PX?: number; EX?: number } = {}): Promise<Reply> {
    const ttl = options.PX != null ? ['PX', options.PX] : options.EX != null ? ['EX', options.EX] : []
    return this.#send('SET', key, value, ...ttl)
  }

  async del(...keys: string[]): Promise<number> {
    const counts = await Promise.all(keys.map((key) => this.#send('DEL', key)))
    return counts.reduce<number>((sum, count) => sum + Number(count), 0)
  }

  zrange(key: string, start: number, end: number, options: { WITHSCORES?: boolean } = {}): Promise<Reply> {
    return this.#range('ZRANGE', key, start, end, options)
  }

  zrevrange(key: string, start: number, end: number, options: { WITHSCORES?: boolean } = {}): Promise<Reply> {
    return this.#range('ZREVRANGE', key, start, end, options)
  }

  zcard(key: string): Promise<Reply> {
    return this.#send('ZCARD', key)
  }

  zscore(key: string, member: string): Promise<Reply> {
    return this.#send('ZSCORE', key, member)
  }

  lrange(key: string, start: number, end: number): Promise<Reply> {
    return this.#send('LRANGE', key, start, end)
  }

  llen(key: string): Promise<Reply> {
    return this.#send('LLEN', key)
  }

  ltrim(key: string, start: number, end: number): Promise<Reply> {
    return this.#send('LTRIM', key, start, end)
  }

  lpos(key: string, value: string): Promise<Reply> {
    return this.#send('LPOS', key, value)
  }

  smembers(key: string): Promise<Reply> {
    return this.#send('SMEMBERS', key)
  }

  xadd(
    key: string,
    id: string,
    fields: Fields,
    options: { MAXLEN?: number; approximate?: boolean } = {},
  ): Promise<Reply> {
    const trim = options.MAXLEN == null ? [] : ['MAXLEN', tilde(options.approximate), options.MAXLEN]
    return this.#send('XADD', key, ...trim, id, ...flatten(fields))
  }

  async xread(
    streams: readonly { key: string; id: string }[],
    options: { BLOCK?: number; COUNT?: number } = {},
  ): Promise<unknown> {
    const count = options.COUNT == null ? [] : ['COUNT', options.COUNT]
    const block = options.BLOCK == null ? [] : ['BLOCK', options.BLOCK]
    const where = [...streams.map(({ key }) => key), ...streams.map(({ id }) => id)]
    const key = streams[0]?.key ?? ''
    const words = ['XREAD', ...count, ...block, 'STREAMS', ...where].map(argOf)
    const reply = await this.#over(key, this.#blocking(options.BLOCK ?? 0), (node, deadline) =>
      node.send(words, { deadline }),
    )
    if (!Array.isArray(reply)) return null
    // RESP3 answers with a map of streams, flat after our mapping; RESP2 with pairs.
    return Array.isArray(reply[0])
      ? reply
      : Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]])
  }

  xtrim(
    key: string,
    strategy: string,
    most: number,
    options: { approximate?: boolean } = {},
  ): Promise<Reply> {
    return this.#send('XTRIM', key, strategy, tilde(options.approximate), most)
  }

  async bzpopmin(key: string, timeout: number): Promise<[string, string, string] | null> {
    const reply = await this.#over(key, this.#blocking(timeout * 1_000), (node, deadline) =>
      node.send(['BZPOPMIN', key, String(timeout)], { deadline }),
    )
    if (!Array.isArray(reply)) return null
    const [name, member, score] = reply
    return [String(name), String(member), String(score)]
  }

  async info(): Promise<string> {
    const reply = await this.#over('', this.#setup.deadline, (node, deadline) =>
      node.send(['INFO'], { deadline }),
    )
    return String(reply)
  }

  /** Connections are shared and reopened by their supervisor: a name would not stay. */
  async clientSetName(_name: string): Promise<string> {
    return 'OK'
  }

  async clientList(): Promise<string> {
    return String(
      await this.#over('', this.#setup.deadline, (node, deadline) =>
        node.send(['CLIENT', 'LIST'], { deadline }),
      ),
    )
  }

  async clientInfo(): Promise<string> {
    return String(
      await this.#over('', this.#setup.deadline, (node, deadline) =>
        node.send(['CLIENT', 'INFO'], { deadline }),
      ),
    )
  }

  async scan(
    cursor: string | number,
    options: { MATCH?: string; COUNT?: number },
  ): Promise<[string, string[]]> {
    const match = options.MATCH == null ? [] : ['MATCH', options.MATCH]
    const count = options.COUNT == null ? [] : ['COUNT', String(options.COUNT)]
    const reply = await this.#over(options.MATCH ?? '', this.#setup.deadline, (node, deadline) =>
      node.send(['SCAN', String(cursor), ...match, ...count], { deadline }),
    )
    const [next, keys] = reply as [Reply, Reply[]]
    return [String(next), keys.map(String)]
  }

  scanStream(options: { match: string; count?: number }): Readable {
    const scan = this.scan.bind(this)
    async function* pages(): AsyncGenerator<string[]> {
      let cursor = '0'
      do {
        const [next, keys] = await scan(cursor, { MATCH: options.match, COUNT: options.count ?? 250 })
        cursor = next
        yield keys
      } while (cursor !== '0')
    }
    return Readable.from(pages(), { objectMode: true })
  }

  #send(name: string, key: string, ...args: readonly (string | number)[]): Promise<Reply> {
    return this.#over(key, this.#setup.deadline, (node, deadline) =>
      node.send([name, key, ...args.map(argOf)], { deadline }),
    )
  }

  async #range(
    name: string,
    key: string,
    start: number,
    end: number,
    options: { WITHSCORES?: boolean },
  ): Promise<Reply> {
    const reply = await this.#send(name, key, start, end, ...(options.WITHSCORES ? ['WITHSCORES'] : []))
    // RESP3 pairs members and scores.
    return Array.isArray(reply) ? reply.flat(1) : reply
  }

  /** Nothing stands between the call and the wire while connected, so calls of one tick keep their order. */
  #over(
    key: string,
    deadline: number,
    act: (node: ReturnType<RedisPort['nodeFor']>, deadline: number) => Promise<Reply>,
  ): Promise<Reply> {
    const { port, patience, owned } = this.#setup
    const node = port.nodeFor(key)
    const reply =
      node.state === 'ready' || patience === 0
        ? act(node, deadline)
        : port.ready(patience).then(() => act(port.nodeFor(key), deadline))
    // Closing ends what blocks: that is no fault, and BullMQ expects no answer.
    return owned ? reply.catch((error: unknown) => this.#quietly(error)) : reply
  }

  #quietly(error: unknown): null {
    if (this.status === 'end') return null
    throw error
  }

  /** Until a blocking command is given up: what it may take, and what the way takes; 0 is for ever. */
  #blocking(ms: number): number {
    return (ms > 0 ? ms : 86_400_000) + this.#setup.deadline
  }

  #end(): void {
    if (this.#setup.owned) void this.#setup.port.close()
    this.status = 'end'
    this.#setup.port.clock.afterInput(() => {
      this.emit('end')
      this.emit('close')
    })
  }
}

function argOf(value: unknown): Arg {
  if (Buffer.isBuffer(value)) return value
  return value === undefined || value === null ? '' : String(value)
}

const tilde = (approximate: boolean | undefined): string => (approximate === false ? '=' : '~')

const flatten = (fields: Fields): (string | number)[] => Object.entries(fields).flat()

function pairs(reply: Reply): Record<string, string> {
  const found: Record<string, string> = {}
  if (!Array.isArray(reply)) return found
  for (let i = 0; i + 1 < reply.length; i += 2) found[String(reply[i])] = String(reply[i + 1])
  return found
}
