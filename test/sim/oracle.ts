import type { Prng } from './prng.ts'

/** What a loader reads: the versions of everything that the value depends on. */
export interface Row {
  readonly key: number
  readonly version: number
  /** Tags of the value and their versions at the moment of the read. */
  readonly tags: readonly (readonly [tag: number, version: number])[]
  readonly all: number
  /** Who read it, and when by that process's own running time. */
  readonly by: string
  readonly at: number
}

/** What the readers of a key may rely on, noted before they ask. */
export interface Floor {
  readonly hardKey: number
  readonly softKey: number
  readonly hardTags: readonly number[]
  readonly softTags: readonly number[]
  readonly all: number
}

type Versioned = readonly [name: number, version: number]

/** Raises the floors; with a process, its own alone. */
export type Confirm = (own?: string) => void

/** The source of truth, and the promise: versions rise at once, floors rise with acknowledgements. */
export class Oracle {
  readonly keys: number
  readonly tags: number
  readonly #key: number[]
  readonly #tag: number[]
  readonly #tagsOf: (readonly number[])[]
  #all = 0
  readonly #hardKey: number[]
  readonly #softKey: number[]
  #hardTag: readonly number[]
  #softTag: readonly number[]
  #hardAll = 0
  readonly #own = new Map<string, { keys: Map<number, number>; tags: Map<number, number> }>()
  reads = 0
  acknowledged = 0

  constructor(keys: number, tags: number, prng: Prng) {
    this.keys = keys
    this.tags = tags
    const zeros = (n: number) => Array.from({ length: n }, () => 0)
    this.#key = zeros(keys)
    this.#tag = zeros(tags)
    this.#hardKey = zeros(keys)
    this.#softKey = zeros(keys)
    this.#hardTag = zeros(tags)
    this.#softTag = zeros(tags)
    // Most keys have two tags; some have one, which batches need, and some none.
    this.#tagsOf = Array.from({ length: keys }, (_, k) => {
      const first = k % tags
      const second = prng.int(tags)
      if (k % 7 === 6) return []
      return first === second || k % 3 === 0 ? [first] : [first, second]
    })
  }

  tagsOf(key: number): readonly number[] {
    return this.#tagsOf[key]!
  }

  read(key: number, by: string, at: number): Row {
    const tags = this.tagsOf(key).map((tag) => [tag, this.#tag[tag]!] as const)
    return { key, version: this.#key[key]!, tags, all: this.#all, by, at: Math.floor(at) }
  }

  /** A committed write; the answer raises the floors once its invalidation was acknowledged. */
  write(what: {
    keys?: readonly number[]
    tags?: readonly number[]
    all?: boolean
    soft?: boolean
  }): Confirm {
    const keys = (what.keys ?? []).map((key) => [key, ++this.#key[key]!] as const)
    const tags = (what.tags ?? []).map((tag) => [tag, ++this.#tag[tag]!] as const)
    const all = what.all ? ++this.#all : 0
    return (own) => {
      if (own !== undefined) {
        this.#ownFloor(own, keys, tags)
        return
      }
      this.acknowledged++
      const keyFloor = what.soft ? this.#softKey : this.#hardKey
      for (const [key, version] of keys) keyFloor[key] = Math.max(keyFloor[key]!, version)
      if (tags.length > 0) {
        const floor = [...(what.soft ? this.#softTag : this.#hardTag)]
        for (const [tag, version] of tags) floor[tag] = Math.max(floor[tag]!, version)
        // Replaced, never changed: readers hold the list that was true when they began.
        if (what.soft) this.#softTag = floor
        else this.#hardTag = floor
      }
      this.#hardAll = Math.max(this.#hardAll, all)
    }
  }

  /** Not acknowledged: the process that asked for it may not see older values all the same. */
  #ownFloor(own: string, keys: readonly Versioned[], tags: readonly Versioned[]): void {
    const floor = this.#own.get(own) ?? { keys: new Map(), tags: new Map() }
    this.#own.set(own, floor)
    for (const [key, version] of keys) floor.keys.set(key, Math.max(floor.keys.get(key) ?? 0, version))
    for (const [tag, version] of tags) floor.tags.set(tag, Math.max(floor.tags.get(tag) ?? 0, version))
  }

  floor(key: number, process: string): Floor {
    const own = this.#own.get(process)
    const hardTags = own
      ? this.#hardTag.map((least, tag) => Math.max(least, own.tags.get(tag) ?? 0))
      : this.#hardTag
    return {
      hardKey: Math.max(this.#hardKey[key]!, own?.keys.get(key) ?? 0),
      softKey: this.#softKey[key]!,
      hardTags,
      softTags: this.#softTag,
      all: this.#hardAll,
    }
  }

  /** Says what is wrong with a value, or undefined. `soft`: values expired softly do not count as wrong. */
  judge(key: number, value: unknown, floor: Floor, allowStale: boolean): string | undefined {
    this.reads++
    const row = value as Row
    if (typeof row !== 'object' || row === null || row.key !== key) {
      return `key ${key} got ${JSON.stringify(value)?.slice(0, 80)}`
    }
    const version = allowStale ? floor.hardKey : Math.max(floor.hardKey, floor.softKey)
    if (row.version < version) return `key ${key} has version ${row.version}, acknowledged ${version}`
    if (row.all < floor.all) return `key ${key} is from before clear ${floor.all}`
    for (const [tag, had] of row.tags) {
      const least = allowStale ? floor.hardTags[tag]! : Math.max(floor.hardTags[tag]!, floor.softTags[tag]!)
      if (had < least) return `key ${key} has version ${had} of tag ${tag}, acknowledged ${least}`
    }
    return undefined
  }
}
