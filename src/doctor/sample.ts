import type { Clock } from '../base/clock.ts'
import { encodePart, redactName } from '../base/key.ts'
import type { RedisNode } from '../redis/port.ts'
import { ask } from './ask.ts'
import type { KeySample } from './evidence.ts'
import { formatOf, plainSecretOf, secretKindOf } from './secrets.ts'

export interface SampleBounds {
  /** Most own keys. */
  readonly keys: number
  /** Most ms. */
  readonly budget: number
}

const SCAN_COUNT = '500'
/** Replies under way at a time: more would make other clients wait. */
const CHUNK = 100
/** Entries whose beginning is read, and how much of each. */
const READ_ENTRIES = 200
const READ_BYTES = '2047'
/** Of what these kinds keep, nothing ends by itself. */
const MAY_STAY = new Set(['queue', 'raw', 'jobs', 'word', 'members'])

const LENGTHS: Readonly<Record<string, string>> = {
  list: 'LLEN',
  set: 'SCARD',
  zset: 'ZCARD',
  hash: 'HLEN',
  stream: 'XLEN',
}

/** Looks at some own keys of these servers: SCAN, never KEYS; bounded in number and time. */
export async function sampleKeys(
  nodes: readonly RedisNode[],
  namespace: string,
  clock: Clock,
  bounds: SampleBounds,
): Promise<KeySample> {
  const sample = new Sample(namespace)
  const end = clock.mono() + bounds.budget
  let complete = true
  for (const node of nodes) {
    let cursor = '0'
    do {
      const reply = await ask(node, 'SCAN', cursor, 'MATCH', 'hf:*', 'COUNT', SCAN_COUNT)
      const [next, names] = Array.isArray(reply) ? reply : ['0', []]
      cursor = String(next)
      const own = (Array.isArray(names) ? names.map(String) : []).filter((name) => sample.kindOf(name))
      for (let at = 0; at < own.length; at += CHUNK) {
        await Promise.all(own.slice(at, at + CHUNK).map((name) => sample.look(node, name)))
      }
      if (cursor !== '0' && (sample.own >= bounds.keys || clock.mono() >= end)) {
        complete = false
        break
      }
    } while (cursor !== '0')
  }
  return sample.result(complete)
}

class Sample {
  own = 0
  readonly #cache: string
  readonly #other: string
  readonly #endless = new Map<string, number>()
  readonly #names = new Map<string, number>()
  readonly #plain = new Map<string, string>()
  readonly #formats = new Map<string, number>()
  #biggest: KeySample['biggest']
  #longest: KeySample['longest']
  #read = 0

  constructor(namespace: string) {
    const space = encodePart(namespace, 'namespace')
    this.#cache = `hf:{${space}:`
    this.#other = `hf:${space}:`
  }

  /** `entry`, `session`, `queue` …; undefined when the key is another application's. */
  kindOf(name: string): string | undefined {
    if (name.startsWith(this.#other)) return /^[^:{]+/.exec(name.slice(this.#other.length))?.[0] ?? 'jobs'
    if (!name.startsWith(this.#cache)) return undefined
    const letter = /^hf:\{[^}]*\}:(\w+)/.exec(name)?.[1] ?? ''
    const kinds: Record<string, string> = {
      e: 'entry',
      l: 'lease',
      t: 'tag',
      f: 'fence',
      w: 'word',
      m: 'members',
    }
    return kinds[letter] ?? 'other'
  }

  async look(node: RedisNode, name: string): Promise<void> {
    this.own++
    const kind = this.kindOf(name)!
    const secret = secretKindOf(name)
    if (secret) count(this.#names, secret)
    const reads = kind === 'entry' && this.#read < READ_ENTRIES
    if (reads) this.#read++
    const [ttl, type, size, head] = await Promise.all([
      ask(node, 'PTTL', name),
      ask(node, 'TYPE', name),
      ask(node, 'MEMORY', 'USAGE', name, 'SAMPLES', '5'),
      reads ? ask(node, 'GETRANGE', name, '0', READ_BYTES) : undefined,
    ])
    if (ttl === -1 && !MAY_STAY.has(kind)) count(this.#endless, kind)
    const key = redactName(name)
    if (typeof size === 'number' && size > (this.#biggest?.bytes ?? 0)) this.#biggest = { key, bytes: size }
    const length = LENGTHS[String(type)]
    const items = length === undefined ? 0 : Number(await ask(node, length, name))
    if (items > (this.#longest?.items ?? 0)) this.#longest = { key, items }
    if (typeof head === 'string' && head !== '') this.#readEntry(name, head)
  }

  #readEntry(name: string, head: string): void {
    count(this.#formats, formatOf(head))
    const field = plainSecretOf(head)
    if (field === undefined) return
    const key = name.slice(name.indexOf('}:e:') + 4)
    const cut = key.lastIndexOf('|')
    this.#plain.set(cut < 0 ? 'default' : key.slice(0, cut), field)
  }

  result(complete: boolean): KeySample {
    return {
      own: this.own,
      complete,
      endless: Object.fromEntries(this.#endless),
      biggest: this.#biggest,
      longest: this.#longest,
      secretNames: Object.fromEntries(this.#names),
      plainSecrets: Object.fromEntries(this.#plain),
      formats: Object.fromEntries(this.#formats),
    }
  }
}

function count(map: Map<string, number>, word: string): void {
  map.set(word, (map.get(word) ?? 0) + 1)
}
