import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption, InvalidValue } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'

/** Name, flags and signing keys of a session cookie. */
export interface SessionCookieOptions {
  /** Without the prefix. @default 'sid' */
  name?: string | undefined
  /**
   * `host`: the browser takes it only over https, for this host and every path, so that no subdomain
   * can plant one. `secure`: only over https. @default 'host', or none where the other options forbid it
   */
  prefix?: 'host' | 'secure' | 'none' | undefined
  /** Sent over https only. Turn off for plain http on a developer's machine. @default true */
  secure?: boolean | undefined
  /** Whether the cookie comes along from other sites. @default 'Lax' */
  sameSite?: 'Strict' | 'Lax' | 'None' | undefined
  /** Below which path it is sent. @default '/' */
  path?: string | undefined
  /** To which hosts it is sent. @default none: this host only */
  domain?: string | undefined
  /** Own jar per embedding site (CHIPS). @default false */
  partitioned?: boolean | undefined
  /** How long the browser keeps it. @default none: until the browser closes */
  maxAge?: Duration | undefined
  /** Secrets of at least 32 characters: the first signs, all verify. @default unsigned */
  keys?: readonly string[] | undefined
}

const KNOWN = ['name', 'prefix', 'secure', 'sameSite', 'path', 'domain', 'partitioned', 'maxAge', 'keys']
/** RFC 6265: a token as the name, no control character, space or separator in the value. */
const NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/
const VALUE = /^[\w.~-]{16,512}$/
const ATTRIBUTE = /^[\x21-\x3a\x3c-\x7e]+$/
/** Longer headers are not looked at: no browser sends them. */
const MAX_HEADER = 16_384
const MAX_CANDIDATES = 8

/**
 * The cookie of a session id: HttpOnly always, Secure, SameSite=Lax and `__Host-` unless told
 * otherwise. What cannot be ours is ignored, never an error: anybody can send any cookie.
 */
export class SessionCookie {
  /** With the prefix, as the browser knows it. */
  readonly name: string
  readonly #attributes: string
  readonly #maxAgeMs: number | undefined
  readonly #keys: readonly string[]

  /** @throws InvalidOption when the flags contradict each other or a key is too short */
  constructor(options: SessionCookieOptions = {}) {
    refuseUnknown(options, KNOWN, 'session cookie')
    const { name = 'sid', secure = true, sameSite = 'Lax', path = '/', domain, partitioned = false } = options
    const hostAllowed = secure && path === '/' && domain === undefined
    const prefix = options.prefix ?? (hostAllowed ? 'host' : 'none')
    if (!NAME.test(name))
      throw new InvalidOption('the cookie name is no token', "use letters and digits: 'sid'")
    if (!['Strict', 'Lax', 'None'].includes(sameSite)) {
      throw new InvalidOption('sameSite is unknown', "give 'Strict', 'Lax' or 'None'")
    }
    if (prefix === 'host' && !hostAllowed) {
      throw new InvalidOption(
        'the prefix __Host- asks for secure, path / and no domain',
        "use prefix: 'none'",
      )
    }
    if (!secure && (prefix === 'secure' || sameSite === 'None' || partitioned)) {
      throw new InvalidOption('browsers drop such a cookie unless it is secure', 'set secure: true')
    }
    for (const attribute of [path, domain ?? 'x']) {
      if (!ATTRIBUTE.test(attribute))
        throw new InvalidOption('path or domain has unusual characters', 'remove them')
    }
    this.#keys = options.keys ?? []
    if (options.keys && this.#keys.length === 0) {
      throw new InvalidOption('keys is empty', 'list at least one, or leave it out')
    }
    if (this.#keys.some((key) => typeof key !== 'string' || key.length < 32)) {
      throw new InvalidOption(
        'a cookie key is shorter than 32 characters',
        'make one with: openssl rand -base64 32',
      )
    }
    this.name = { host: '__Host-', secure: '__Secure-', none: '' }[prefix] + name
    this.#maxAgeMs = options.maxAge === undefined ? undefined : toMs(options.maxAge, 'maxAge')
    this.#attributes = [
      `; Path=${path}`,
      domain === undefined ? '' : `; Domain=${domain}`,
      '; HttpOnly',
      secure ? '; Secure' : '',
      `; SameSite=${sameSite}`,
      partitioned ? '; Partitioned' : '',
    ].join('')
  }

  /** The id in a Cookie header, `undefined` when there is none of ours. Never throws. */
  read(header: string | null | undefined): string | undefined {
    if (typeof header !== 'string' || header.length > MAX_HEADER) return undefined
    let candidates = 0
    for (const part of header.split(';')) {
      const at = part.indexOf('=')
      if (at < 0 || part.slice(0, at).trim() !== this.name) continue
      if (++candidates > MAX_CANDIDATES) return undefined
      const id = this.#verify(unquote(part.slice(at + 1).trim()))
      if (id !== undefined) return id
    }
    return undefined
  }

  /**
   * The Set-Cookie header for an id.
   * @param maxAgeMs instead of `maxAge`, e.g. `session.expiresIn`
   * @throws InvalidValue when the id has characters that a cookie cannot hold
   */
  serialize(id: string, maxAgeMs: number | undefined = this.#maxAgeMs): string {
    if (!VALUE.test(id))
      throw new InvalidValue('the session id cannot stand in a cookie', 'use an id of create()')
    const [key] = this.#keys
    const value = key === undefined ? id : `${id}.${this.#sign(id, key)}`
    const life = maxAgeMs === undefined ? '' : `; Max-Age=${Math.max(0, Math.floor(maxAgeMs / 1_000))}`
    return `${this.name}=${value}${life}${this.#attributes}`
  }

  /** The Set-Cookie header that removes it. */
  clear(): string {
    return `${this.name}=; Max-Age=0${this.#attributes}`
  }

  #verify(value: string): string | undefined {
    if (!VALUE.test(value)) return undefined
    if (this.#keys.length === 0) return value
    const at = value.lastIndexOf('.')
    const id = value.slice(0, at)
    if (at < 0 || !VALUE.test(id)) return undefined
    const given = Buffer.from(value.slice(at + 1), 'base64url')
    const good = this.#keys.some((key) => {
      const wanted = Buffer.from(this.#sign(id, key), 'base64url')
      return given.length === wanted.length && timingSafeEqual(given, wanted)
    })
    return good ? id : undefined
  }

  /** The name is signed too: a value cannot be moved to another cookie. */
  #sign(id: string, key: string): string {
    return createHmac('sha256', key).update(`${this.name}\n${id}`).digest('base64url')
  }
}

const unquote = (value: string): string =>
  value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
