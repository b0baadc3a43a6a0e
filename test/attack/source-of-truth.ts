/**
 * The "database" of the attack and what was acknowledged, shared by all processes without a server:
 * a file of counters on local disk, read and written with single positioned calls. Each counter has
 * one writing process, so an increment needs no lock; a killed owner's successor goes on from what
 * the file says.
 *
 * Names are keys, tags, groups (patterns) and the whole namespace. `truth` rises before a name is
 * invalidated, `acked` only after that invalidation was acknowledged.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

export const KEYS = 48
export const TAGS = 12
export const GROUPS = 4

const NAMES = KEYS + TAGS + GROUPS + 1
const BYTES = 8

export const keyAt = (i: number): number => i
export const tagAt = (j: number): number => KEYS + j
export const groupAt = (g: number): number => KEYS + TAGS + g
export const ALL = KEYS + TAGS + GROUPS

/** Each key carries two tags and belongs to one group. */
export const tagsOf = (i: number): readonly [number, number] => [i % TAGS, (i * 5 + 3) % TAGS]
export const groupOf = (i: number): number => i % GROUPS
export const keyName = (i: number): string => `g${groupOf(i)}:item:${i}`
export const tagName = (j: number): string => `tag:${j}`
export const ownerOf = (name: number, processes: number): number => name % processes

/** Every name that an entry of key `i` depends on. */
export function namesOf(i: number): number[] {
  const [a, b] = tagsOf(i)
  return [keyAt(i), tagAt(a), tagAt(b), groupAt(groupOf(i)), ALL]
}

/** What a loader returns: the truth of each name it depends on, at one moment inside the load. */
export interface Row {
  readonly i: number
  readonly at: readonly number[]
}

export class SourceOfTruth {
  readonly #file: number
  readonly #one = Buffer.alloc(BYTES)
  readonly #half = Buffer.alloc(BYTES * NAMES)

  constructor(path: string, create = false) {
    this.#file = openSync(path, create ? 'w+' : 'r+')
    if (create) writeSync(this.#file, Buffer.alloc(BYTES * NAMES * 2), 0, BYTES * NAMES * 2, 0)
  }

  /** One read call, so that the row is of one moment as far as each single counter goes. */
  row(i: number): Row {
    readSync(this.#file, this.#half, 0, BYTES * NAMES, 0)
    return { i, at: namesOf(i).map((name) => this.#half.readDoubleLE(name * BYTES)) }
  }

  /** The least that a call which starts now may return, per name of key `i`. */
  floors(i: number): number[] {
    readSync(this.#file, this.#half, 0, BYTES * NAMES, BYTES * NAMES)
    return namesOf(i).map((name) => this.#half.readDoubleLE(name * BYTES))
  }

  /** The owner changes the database. Returns the new version, for `acknowledge`. */
  change(name: number): number {
    const version = this.#read(name) + 1
    this.#write(name, version)
    return version
  }

  acknowledge(name: number, version: number): void {
    if (version > this.#read(NAMES + name)) this.#write(NAMES + name, version)
  }

  close(): void {
    closeSync(this.#file)
  }

  #read(place: number): number {
    readSync(this.#file, this.#one, 0, BYTES, place * BYTES)
    return this.#one.readDoubleLE(0)
  }

  #write(place: number, value: number): void {
    this.#one.writeDoubleLE(value, 0)
    writeSync(this.#file, this.#one, 0, BYTES, place * BYTES)
  }
}
