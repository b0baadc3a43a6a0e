import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import type { Arg, Reply } from '../redis/link.ts'
import { scanNodes } from '../redis/name-scan.ts'
import type { RedisPort } from '../redis/port.ts'
import type { Script } from '../redis/script.ts'
import { served } from '../redis/served.ts'
import { QuickLoads } from './quick-load.ts'
import { ending, GONE, list, num, storedOf, tagOf, text, timing } from './replies.ts'
import * as scripts from './scripts.ts'
import { sizeOf } from './size.ts'
import type {
  Change,
  CreateReply,
  ListableSessionStore,
  Listed,
  LoadReply,
  Move,
  MoveReply,
  NewSession,
  Owner,
  Place,
  SaveBounds,
  SaveReply,
  SessionLook,
  Sparing,
} from './store.ts'

export interface RedisSessionSettings {
  /** ms until a call is given up. */
  readonly deadlineMs: number
  /** Most sessions of one user; a further login ends the oldest. */
  readonly maxPerUser: number
}

/** For one step of a scan. */
const SCAN_MS = 2_000
/** Calls that only make something gone may run late: they carry no deadline. */
const ANY_TIME = false

/** Sessions as hashes in Redis: one script, one round trip for each step. */
export class RedisSessionStore implements ListableSessionStore {
  readonly shared = true
  readonly clock: Clock
  readonly random: Random
  readonly #redis: RedisPort
  readonly #settings: RedisSessionSettings
  readonly #cluster: boolean
  readonly #quick: QuickLoads

  constructor(redis: RedisPort, settings: RedisSessionSettings) {
    this.#redis = redis
    this.clock = redis.clock
    this.random = redis.random
    this.#settings = settings
    this.#cluster = redis.topology === 'cluster'
    this.#quick = new QuickLoads(redis, settings.deadlineMs)
  }

  async create(place: Place, session: NewSession): Promise<CreateReply> {
    const { owner } = session
    const near = owner !== undefined && this.#near(place.key, owner.index)
    if (owner && !near) {
      const args = [place.key, num(session.absoluteMs), this.#most, this.random.id(), session.mark]
      const done = await this.#run(scripts.REGISTER, [owner.index], place.member, args)
      if (done === 0) return { state: 'revoked' } as const
    }
    const fields = [...session.fields].flatMap(([name, text]) => [`.${name}`, text])
    const reply = await this.#run(
      scripts.CREATE,
      owner && near ? [place.key, owner.index] : [place.key],
      place.member,
      [
        num(session.idleMs),
        num(session.absoluteMs),
        num(sizeOf(session.fields)),
        session.mark,
        this.#most,
        this.random.id(),
        owner?.index ?? '',
        owner?.user ?? '',
        session.note,
        ...fields,
      ],
    )
    const [state, ...rest] = list(reply)
    if (state !== 'created') return { state: state as 'exists' | 'revoked' }
    this.#quick.saw(place.key, owner)
    return { state, ...timing(rest), endsAt: Number(rest[3]) } as const
  }

  async load(place: Place, touchEveryMs: number): Promise<LoadReply> {
    const quick = await this.#quick.find(place, touchEveryMs)
    if (quick) return quick
    const args = [num(touchEveryMs)]
    const reply = list(await this.#run(scripts.LOAD, [place.key], place.member, args, ANY_TIME))
    const early = ending(reply)
    if (early) return early
    const far = text(reply[1])
    if (far !== '' && (await this.#ask(far, ['HEXISTS', far, place.member])) !== 1) return GONE
    const [, , now, expiresAt, fields] = reply
    const stored = storedOf(list(fields ?? []), Number(now), Number(expiresAt))
    this.#quick.saw(place.key, stored.owner)
    return { state: 'found', stored }
  }

  async save(place: Place, changes: readonly Change[], bounds: SaveBounds): Promise<SaveReply> {
    const args = changes.flatMap(({ name, text: to, expected }) => [
      `.${name}`,
      expected === undefined ? '*' : expected === null ? '' : sha1(expected),
      to === undefined ? '-' : `=${to}`,
    ])
    const bound = [num(bounds.maxBytes), num(bounds.maxFields)]
    const reply = list(await this.#run(scripts.SAVE, [place.key], place.member, [...bound, ...args]))
    if (reply[0] === 'conflict') {
      const fields = new Map<string, string | undefined>()
      const pairs = list(reply[1] ?? [])
      for (let i = 0; i < pairs.length; i += 2) {
        fields.set(text(pairs[i]).slice(1), text(pairs[i + 1]) || undefined)
      }
      return { state: 'conflict', fields }
    }
    if (reply[0] === 'too-large')
      return { state: 'too-large', bytes: Number(reply[1]), fields: Number(reply[2]) }
    return ending(reply) ?? { state: 'saved', ...timing(reply.slice(1)) }
  }

  async destroy(place: Place) {
    const reply = list(await this.#run(scripts.DESTROY, [place.key], place.member, [], ANY_TIME))
    const early = ending(reply)
    if (early) return early
    const far = text(reply[1])
    if (far !== '' && (await this.#ask(far, ['HDEL', far, place.member])) !== 1) return GONE
    const [, , now, expiresAt, fields] = reply
    return {
      state: 'destroyed',
      stored: storedOf(list(fields ?? []), Number(now), Number(expiresAt)),
    } as const
  }

  async move(move: Move): Promise<MoveReply> {
    const { from, to, login } = move
    const index = login?.owner.index ?? move.owner?.index
    if (!this.#near(from.key, to.key) || (index && !this.#near(from.key, index))) return { state: 'apart' }
    const owner = login?.owner ?? move.owner
    const fields = [...move.fields].flatMap(([name, value]) => [`.${name}`, value])
    if (owner) fields.push('@u', owner.user)
    if (move.note !== undefined && move.note !== '') fields.push('@m', move.note)
    const reply = list(
      await this.#run(
        scripts.MOVE,
        index === undefined ? [from.key, to.key] : [from.key, to.key, index],
        from.member,
        [
          to.member,
          move.alias,
          num(move.graceMs),
          move.ifVersion === undefined ? '*' : num(move.ifVersion),
          login ? '1' : '0',
          login?.owner.index ?? '',
          num(login?.absoluteMs ?? 0),
          this.#most,
          this.random.id(),
          login?.mark ?? '',
          ...fields,
        ],
      ),
    )
    const early = ending(reply)
    if (early) return early
    if (reply[0] !== 'moved-now') return { state: reply[0] as 'retry' | 'revoked' | 'apart' }
    return { state: 'moved-now', ...timing(reply.slice(1)), endsAt: Number(reply[4]) }
  }

  async assign(place: Place, owner: Owner | undefined, endsAt: number): Promise<'assigned' | 'gone'> {
    const near = owner !== undefined && this.#near(place.key, owner.index)
    if (owner && !near) {
      const left = endsAt - this.#redis.nodeFor(owner.index).serverNow()
      const args = [place.key, num(Math.max(1, left)), this.#most, this.random.id(), '']
      await this.#run(scripts.REGISTER, [owner.index], place.member, args)
    }
    const reply = list(
      await this.#run(scripts.ASSIGN, owner && near ? [place.key, owner.index] : [place.key], place.member, [
        owner?.index ?? '',
        owner?.user ?? '',
        this.#most,
        this.random.id(),
      ]),
    )
    if (reply[0] !== 'assigned') return 'gone'
    const far = text(reply[1])
    if (far !== '') await this.#ask(far, ['HDEL', far, place.member])
    return 'assigned'
  }

  async retime(place: Place, idleMs: number): Promise<boolean> {
    return (await this.#run(scripts.RETIME, [place.key], place.member, [num(idleMs)])) === 1
  }

  async list(index: string): Promise<Listed[]> {
    const entries = list(await this.#run(scripts.LISTED, [index], '', [], ANY_TIME)).map((entry) =>
      list(entry).map(text),
    )
    const found = await Promise.all(
      entries.map(async ([member = '', createdAt, endsAt, key = '']) => {
        const peeked = await this.#run(scripts.PEEK, [key], member, [], ANY_TIME)
        if (!Array.isArray(peeked)) return undefined
        const [expiresAt, idleMs, note] = peeked.map(text)
        return {
          place: { key, member },
          createdAt: Number(createdAt),
          endsAt: Number(endsAt),
          expiresAt: Number(expiresAt),
          idleMs: Number(idleMs),
          note: note ?? '',
        }
      }),
    )
    return found.filter((one) => one !== undefined).sort((a, b) => a.createdAt - b.createdAt)
  }

  async revoke(index: string, which: Sparing): Promise<number> {
    const args = [which.only ?? '', this.random.id()]
    const ended = list(await this.#run(scripts.REVOKE, [index], which.except ?? '', args, ANY_TIME))
    let count = 0
    const far: string[] = []
    for (const entry of ended) {
      const [, key, alive] = list(entry)
      if (this.#near(index, text(key))) count += Number(alive)
      else far.push(text(key))
    }
    // Already unusable, whatever comes of these: they only give the memory back early.
    const removed = await Promise.allSettled(far.map((key) => this.#ask(key, ['UNLINK', key])))
    for (const one of removed) count += one.status === 'fulfilled' ? Number(one.value) : 1
    return count
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    return scanNodes(this.#redis.nodes(), glob, SCAN_MS, (key) => key, from)
  }

  async look(place: Place): Promise<SessionLook | undefined> {
    const reply = list(await this.#run(scripts.LOOK, [place.key], place.member, [], ANY_TIME))
    if (reply.length === 0) return undefined
    const [expiresAt, idleMs, createdAt] = reply.slice(0, 3).map(Number) as [number, number, number]
    const [index, user] = reply.slice(3, 5).map(text)
    return {
      owner: index ? { index, user: user ?? '' } : undefined,
      createdAt,
      lastSeenAt: Math.max(createdAt, expiresAt - idleMs),
      expiresAt,
      fields: list(reply[5] ?? []).map(text),
    }
  }

  async mark(index: string): Promise<string> {
    return text(await this.#run(scripts.MARK, [index], '', [this.random.id()]))
  }

  async close(): Promise<void> {}

  get #most(): string {
    return num(this.#settings.maxPerUser)
  }

  #run(
    script: Script,
    keys: readonly string[],
    member: string,
    args: readonly Arg[],
    timely = true,
  ): Promise<Reply> {
    const cluster = this.#cluster ? '1' : '0'
    return served(this.#redis, keys[0]!, this.#settings.deadlineMs, (node, deadline) => {
      const late = timely ? num(node.serverNow() + deadline) : '0'
      return node.eval(script, keys, [late, cluster, member, ...args], { deadline })
    })
  }

  #ask(key: string, args: readonly Arg[]): Promise<Reply> {
    return served(this.#redis, key, this.#settings.deadlineMs, (node, deadline) =>
      node.send(args, { deadline }),
    )
  }

  #near(a: string, b: string): boolean {
    return !this.#cluster || tagOf(a) === tagOf(b)
  }
}

const sha1 = (value: string): string => createHash('sha1').update(value).digest('hex')
