import { createHash } from 'node:crypto'

/** Seeded randomness (sfc32, by Chris Doty-Humphrey): small, fast, and good enough to search with. */
export class Prng {
  #a: number
  #b: number
  #c: number
  #d: number

  /** Streams of one seed with different labels are independent. */
  constructor(seed: number | string, label = '') {
    const digest = createHash('sha256').update(`${seed}/${label}`).digest()
    this.#a = digest.readUInt32LE(0)
    this.#b = digest.readUInt32LE(4)
    this.#c = digest.readUInt32LE(8)
    this.#d = 1
    for (let i = 0; i < 12; i++) this.u32()
  }

  u32(): number {
    const t = (this.#a + this.#b + this.#d) >>> 0
    this.#d = (this.#d + 1) >>> 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) >>> 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) >>> 0
    return t
  }

  /** Uniform in [0, 1). */
  float(): number {
    return this.u32() / 0x1_0000_0000
  }

  between(low: number, high: number): number {
    return low + this.float() * (high - low)
  }

  int(below: number): number {
    return Math.floor(this.float() * below)
  }

  chance(p: number): boolean {
    return this.float() < p
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)]!
  }

  hex(n: number): string {
    let out = ''
    while (out.length < n) out += this.u32().toString(16).padStart(8, '0')
    return out.slice(0, n)
  }
}
