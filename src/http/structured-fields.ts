/** A bare item of a structured field (RFC 9651): tokens and strings both become text. */
export type SfItem = boolean | number | string

const KEY = /[a-z*][a-z0-9_.*-]*/y
const NUMBER = /-?(?:\d{1,12}\.\d{1,3}|\d{1,15})(?![\d.])/y
const TOKEN = /[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/y
const STRING = /"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y
const DATE = /@-?\d{1,15}/y
const DISPLAY = /%"(?:[\x20-\x21\x23-\x24\x26-\x7e]|%[0-9a-f]{2})*"/y
const SPACE = / */y
const OPTIONAL_SPACE = /[ \t]*/y

/**
 * A dictionary by the parsing algorithm of RFC 9651, 4.2.2; undefined when it fails anywhere.
 * Parameters are parsed and dropped; the last of equal keys wins.
 */
export function parseDictionary(text: string): Map<string, SfItem | readonly SfItem[]> | undefined {
  try {
    return new Reader(text).dictionary()
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

class Malformed extends Error {}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  dictionary(): Map<string, SfItem | readonly SfItem[]> {
    const found = new Map<string, SfItem | readonly SfItem[]>()
    this.#take(SPACE)
    // Spaces at the very end belong to the field, not to the last member.
    const end = this.#text.length - (/ *$/.exec(this.#text)?.[0].length ?? 0)
    while (this.#at < end) {
      const key = this.#must(KEY)
      found.delete(key)
      if (this.#text[this.#at] === '=') {
        this.#at++
        found.set(key, this.#text[this.#at] === '(' ? this.#innerList() : this.#item())
      } else found.set(key, true)
      this.#parameters()
      if (this.#at >= end) break
      this.#take(OPTIONAL_SPACE)
      if (this.#text[this.#at] !== ',') throw new Malformed()
      this.#at++
      this.#take(OPTIONAL_SPACE)
      if (this.#at >= end) throw new Malformed()
    }
    return found
  }

  #innerList(): SfItem[] {
    const items: SfItem[] = []
    this.#at++
    for (;;) {
      this.#take(SPACE)
      if (this.#text[this.#at] === ')') break
      items.push(this.#item())
      this.#parameters()
      const next = this.#text[this.#at]
      if (next !== ' ' && next !== ')') throw new Malformed()
    }
    this.#at++
    return items
  }

  #item(): SfItem {
    const first = this.#text[this.#at] ?? ''
    if (first === '"') return this.#must(STRING).slice(1, -1).replace(/\\(.)/g, '$1')
    if (first === '?') {
      const flag = this.#text.slice(this.#at, this.#at + 2)
      if (flag !== '?0' && flag !== '?1') throw new Malformed()
      this.#at += 2
      return flag === '?1'
    }
    if (first === ':') return this.#must(BYTES)
    if (first === '@') return this.#must(DATE)
    if (first === '%') return this.#must(DISPLAY)
    if (first === '-' || (first >= '0' && first <= '9')) return Number(this.#must(NUMBER))
    return this.#must(TOKEN)
  }

  #parameters(): void {
    while (this.#text[this.#at] === ';') {
      this.#at++
      this.#take(SPACE)
      this.#must(KEY)
      if (this.#text[this.#at] === '=') {
        this.#at++
        this.#item()
      }
    }
  }

  #must(pattern: RegExp): string {
    const found = this.#take(pattern)
    if (found === undefined) throw new Malformed()
    return found
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }
}

/** A structured string. Characters that it cannot hold are left out. */
export function sfString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')}"`
}

/** A token where it is one, else a string. */
export function sfName(text: string): string {
  TOKEN.lastIndex = 0
  return TOKEN.exec(text)?.[0] === text ? text : sfString(text)
}
