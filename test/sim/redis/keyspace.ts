/** The data of one fake server. Strings hold one character per byte. */
export type Value =
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'hash'; readonly fields: Map<string, string> }
  | { readonly kind: 'list'; readonly items: string[] }
  | { readonly kind: 'set'; readonly members: Set<string> }
  | { readonly kind: 'zset'; readonly scores: Map<string, number> }

interface Slot {
  value: Value
  /** Server ms; undefined = lives for ever. */
  expireAt: number | undefined
}

/** Everything at one moment, for restarts from an old file and for lagging replicas. */
export type Snapshot = ReadonlyMap<string, Slot>

function copy(value: Value): Value {
  switch (value.kind) {
    case 'hash':
      return { kind: 'hash', fields: new Map(value.fields) }
    case 'list':
      return { kind: 'list', items: [...value.items] }
    case 'set':
      return { kind: 'set', members: new Set(value.members) }
    case 'zset':
      return { kind: 'zset', scores: new Map(value.scores) }
    default:
      return value
  }
}

const copyAll = (slots: Snapshot): Map<string, Slot> =>
  new Map([...slots].map(([key, slot]) => [key, { value: copy(slot.value), expireAt: slot.expireAt }]))

export class Keyspace {
  readonly #now: () => number
  #slots = new Map<string, Slot>()

  constructor(now: () => number) {
    this.#now = now
  }

  get(key: string): Value | undefined {
    return this.#slot(key)?.value
  }

  set(key: string, value: Value, expireAt?: number): void {
    this.#slots.set(key, { value, expireAt })
  }

  delete(key: string): boolean {
    return this.#slot(key) !== undefined && this.#slots.delete(key)
  }

  /** undefined = no key, null = no expiry. */
  expireAt(key: string): number | null | undefined {
    const slot = this.#slot(key)
    return slot && (slot.expireAt ?? null)
  }

  setExpireAt(key: string, at: number | undefined): void {
    const slot = this.#slot(key)
    if (!slot) return
    if (at !== undefined && at <= this.#now()) this.#slots.delete(key)
    else slot.expireAt = at
  }

  keys(): string[] {
    return [...this.#slots.keys()].filter((key) => this.#slot(key))
  }

  clear(): void {
    this.#slots.clear()
  }

  snapshot(): Snapshot {
    return copyAll(this.#slots)
  }

  restore(snapshot: Snapshot): void {
    this.#slots = copyAll(snapshot)
  }

  #slot(key: string): Slot | undefined {
    const slot = this.#slots.get(key)
    if (slot?.expireAt === undefined || slot.expireAt > this.#now()) return slot
    this.#slots.delete(key)
    return undefined
  }
}
