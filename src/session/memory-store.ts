import type { Clock } from '../base/clock.ts'
import { InvalidValue } from '../base/errors.ts'
import { type NameBatch, scanNames } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { sizeOf } from './size.ts'
import {
  type Change,
  type CreateReply,
  type Gone,
  type ListableSessionStore,
  type Listed,
  type LoadReply,
  MARK_MS,
  type Move,
  type MoveReply,
  type NewSession,
  type Owner,
  type Place,
  type SaveBounds,
  type SaveReply,
  type SessionLook,
  type Sparing,
  type Stored,
  type Timing,
} from './store.ts'

export interface MemorySessionSettings {
  readonly maxPerUser: number
  /** Most sessions in all; a further one is refused. */
  readonly maxSessions: number
}

interface Live {
  fields: Map<string, string>
  owner: Owner | undefined
  note: string
  idleMs: number
  createdAt: number
  endsAt: number
  version: number
  expiresAt: number
}

interface Index {
  epoch: string
  readonly members: Map<string, { key: string; createdAt: number }>
  keepUntil: number
}

const GONE: Gone = { state: 'gone' }
const SWEEP_MS = 30_000

/** Sessions in process memory. The same rules as the scripts for Redis, and the model they are tested against. */
export class MemorySessionStore implements ListableSessionStore {
  readonly shared = false
  readonly clock: Clock
  readonly random: Random
  readonly #settings: MemorySessionSettings
  readonly #sessions = new Map<string, Live>()
  readonly #aliases = new Map<string, { to: string; until: number }>()
  readonly #indexes = new Map<string, Index>()
  #sweptAt: number

  constructor(clock: Clock, random: Random, settings: MemorySessionSettings) {
    this.clock = clock
    this.random = random
    this.#settings = settings
    this.#sweptAt = clock.wall()
  }

  async create(place: Place, session: NewSession): Promise<CreateReply> {
    const now = this.#now()
    if (this.#live(place) || this.#alias(place)) return { state: 'exists' } as const
    this.#sweep(now)
    if (this.#sessions.size >= this.#settings.maxSessions) {
      throw new InvalidValue(
        `there are ${this.#sessions.size} sessions in this process already`,
        'keep sessions in Redis, or raise maxSessions',
      )
    }
    const { owner, mark, idleMs, absoluteMs } = session
    if (owner && mark !== '' && this.#indexes.get(owner.index)?.epoch !== mark) {
      return { state: 'revoked' } as const
    }
    const endsAt = now + absoluteMs
    if (owner) this.#register(owner.index, place, now, endsAt)
    const live: Live = {
      fields: new Map(session.fields),
      owner,
      note: session.note,
      idleMs,
      createdAt: now,
      endsAt,
      version: 1,
      expiresAt: Math.min(now + idleMs, endsAt),
    }
    this.#sessions.set(place.key, live)
    return { state: 'created', ...this.#timing(live), endsAt } as const
  }

  async load(place: Place, touchEveryMs: number): Promise<LoadReply> {
    const alias = this.#alias(place)
    if (alias) return { state: 'moved', to: alias }
    const live = this.#live(place)
    if (!live) return GONE
    if (touchEveryMs >= 0) this.#extend(live, Math.max(1, touchEveryMs))
    return { state: 'found', stored: this.#stored(live) }
  }

  async save(place: Place, changes: readonly Change[], bounds: SaveBounds): Promise<SaveReply> {
    const alias = this.#alias(place)
    if (alias) return { state: 'moved', to: alias }
    const live = this.#live(place)
    if (!live) return GONE
    const conflicts = new Map<string, string | undefined>()
    const next = new Map(live.fields)
    for (const { name, text, expected } of changes) {
      const current = live.fields.get(name)
      if (expected !== undefined && (expected ?? undefined) !== current) conflicts.set(name, current)
      if (text === undefined) next.delete(name)
      else next.set(name, text)
    }
    if (conflicts.size > 0) return { state: 'conflict', fields: conflicts }
    const bytes = sizeOf(next)
    const tooMany = next.size > live.fields.size && next.size > bounds.maxFields
    if ((bytes > bounds.maxBytes && bytes > sizeOf(live.fields)) || tooMany) {
      return { state: 'too-large', bytes, fields: next.size }
    }
    live.fields = next
    live.version++
    this.#extend(live, 1)
    return { state: 'saved', ...this.#timing(live) }
  }

  async destroy(place: Place) {
    const alias = this.#alias(place)
    if (alias) {
      this.#aliases.delete(place.key)
      return { state: 'moved', to: alias } as const
    }
    const live = this.#live(place)
    if (!live) return GONE
    this.#drop(place, live)
    return { state: 'destroyed', stored: this.#stored(live) } as const
  }

  async move(move: Move): Promise<MoveReply> {
    const { from, to, login } = move
    const alias = this.#alias(from)
    if (alias) return { state: 'moved', to: alias }
    const live = this.#live(from)
    if (!live) return GONE
    if (move.ifVersion !== undefined && move.ifVersion !== live.version) return { state: 'retry' }
    if (login && login.mark !== '' && this.#indexes.get(login.owner.index)?.epoch !== login.mark) {
      return { state: 'revoked' }
    }
    this.#drop(from, live)
    const now = this.#now()
    for (const [name, text] of move.fields) live.fields.set(name, text)
    if (move.note) live.note = move.note
    const owner = login?.owner ?? move.owner
    if (owner) live.owner = owner
    if (login) {
      live.endsAt = now + login.absoluteMs
      live.createdAt = now
    }
    if (live.owner) this.#register(live.owner.index, to, now, live.endsAt)
    this.#sessions.set(to.key, live)
    if (move.alias !== '') this.#aliases.set(from.key, { to: move.alias, until: now + move.graceMs })
    live.version++
    this.#extend(live, 1)
    return { state: 'moved-now', ...this.#timing(live), endsAt: live.endsAt }
  }

  async assign(place: Place, owner: Owner | undefined): Promise<'assigned' | 'gone'> {
    const live = this.#live(place)
    if (!live) return 'gone'
    if (live.owner) this.#indexes.get(live.owner.index)?.members.delete(place.member)
    live.owner = owner
    if (owner) this.#register(owner.index, place, this.#now(), live.endsAt)
    return 'assigned'
  }

  async retime(place: Place, idleMs: number): Promise<boolean> {
    const live = this.#live(place)
    if (!live) return false
    live.idleMs = idleMs
    this.#extend(live, 1)
    return true
  }

  async list(index: string): Promise<Listed[]> {
    const found: Listed[] = []
    for (const [member, { key }] of this.#indexes.get(index)?.members ?? []) {
      const live = this.#live({ key, member })
      if (!live) continue
      const { createdAt, endsAt, expiresAt, idleMs, note } = live
      found.push({ place: { key, member }, createdAt, endsAt, expiresAt, idleMs, note })
    }
    return found.sort((a, b) => a.createdAt - b.createdAt)
  }

  async revoke(index: string, which: Sparing): Promise<number> {
    const known = this.#indexes.get(index)
    if (!known) return 0
    let count = 0
    for (const [member, { key }] of [...known.members]) {
      if (member === which.except || (which.only !== undefined && member !== which.only)) continue
      if (this.#live({ key, member })) count++
      known.members.delete(member)
      this.#sessions.delete(key)
    }
    if (which.only === undefined) {
      known.epoch = this.random.id()
      known.keepUntil = Math.max(known.keepUntil, this.#now() + MARK_MS)
    }
    return count
  }

  async mark(index: string): Promise<string> {
    const known = this.#index(index)
    known.keepUntil = Math.max(known.keepUntil, this.#now() + MARK_MS)
    return known.epoch
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    return scanNames(
      () => this.#sessions.keys(),
      glob,
      () => true,
      from,
    )
  }

  async look(place: Place): Promise<SessionLook | undefined> {
    const live = this.#live(place)
    if (!live) return undefined
    const { owner, createdAt, expiresAt, idleMs, fields } = live
    const lastSeenAt = Math.max(createdAt, expiresAt - idleMs)
    return { owner, createdAt, lastSeenAt, expiresAt, fields: [...fields.keys()] }
  }

  async close(): Promise<void> {
    this.#sessions.clear()
    this.#aliases.clear()
    this.#indexes.clear()
  }

  #now(): number {
    return Math.floor(this.clock.wall())
  }

  #live(place: Place): Live | undefined {
    const live = this.#sessions.get(place.key)
    if (!live) return undefined
    const now = this.#now()
    const listed = !live.owner || this.#indexes.get(live.owner.index)?.members.has(place.member)
    if (live.expiresAt > now && live.endsAt > now && listed) return live
    this.#drop(place, live)
    return undefined
  }

  #alias(place: Place): string | undefined {
    const alias = this.#aliases.get(place.key)
    if (!alias) return undefined
    if (alias.until > this.#now()) return alias.to
    this.#aliases.delete(place.key)
    return undefined
  }

  #drop(place: Place, live: Live): void {
    this.#sessions.delete(place.key)
    if (live.owner) this.#indexes.get(live.owner.index)?.members.delete(place.member)
  }

  #extend(live: Live, least: number): void {
    const till = Math.min(this.#now() + live.idleMs, live.endsAt)
    if (Math.abs(till - live.expiresAt) >= least) live.expiresAt = till
  }

  #index(name: string): Index {
    let index = this.#indexes.get(name)
    if (!index) {
      index = { epoch: this.random.id(), members: new Map(), keepUntil: 0 }
      this.#indexes.set(name, index)
    }
    return index
  }

  #register(name: string, place: Place, createdAt: number, endsAt: number): void {
    const index = this.#index(name)
    index.members.set(place.member, { key: place.key, createdAt })
    index.keepUntil = Math.max(index.keepUntil, endsAt)
    if (index.members.size <= this.#settings.maxPerUser) return
    for (const [member, { key }] of [...index.members]) {
      if (member !== place.member && !this.#live({ key, member })) index.members.delete(member)
    }
    const oldest = [...index.members].sort(([, a], [, b]) => a.createdAt - b.createdAt)
    for (const [member, { key }] of oldest) {
      if (index.members.size <= this.#settings.maxPerUser) break
      if (member === place.member) continue
      index.members.delete(member)
      this.#sessions.delete(key)
    }
  }

  /** Expired ones leave when somebody asks for them, and here, at most every 30 s. */
  #sweep(now: number): void {
    const full = this.#sessions.size >= this.#settings.maxSessions
    if (!full && now - this.#sweptAt < SWEEP_MS) return
    this.#sweptAt = now
    for (const [key, live] of this.#sessions) {
      if (live.expiresAt <= now) this.#sessions.delete(key)
    }
    for (const [key, alias] of this.#aliases) {
      if (alias.until <= now) this.#aliases.delete(key)
    }
    for (const [name, index] of this.#indexes) {
      for (const [member, { key }] of index.members) {
        if (!this.#sessions.has(key)) index.members.delete(member)
      }
      if (index.members.size === 0 && index.keepUntil <= now) this.#indexes.delete(name)
    }
  }

  #stored(live: Live): Stored {
    const { fields, owner, note, idleMs, createdAt, endsAt } = live
    return {
      fields: new Map(fields),
      owner,
      note,
      idleMs,
      createdAt,
      endsAt,
      bytes: sizeOf(fields),
      ...this.#timing(live),
    }
  }

  #timing(live: Live): Timing {
    return { version: live.version, now: this.#now(), expiresAt: live.expiresAt }
  }
}
