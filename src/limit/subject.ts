import { InvalidKey, InvalidOption } from '../base/errors.ts'
import { boundName, decodeName, encodePart } from '../base/key.ts'
import { ipKey } from './ip.ts'
import type { Policy } from './policy.ts'
import type { Part } from './store.ts'

/**
 * Who is limited: one id, or ids by kind. Several kinds are several subjects, decided together.
 * The kind `ip` takes an address as text and reads it as `ipKey` does.
 */
export type Subject =
  | string
  | number
  | bigint
  | { readonly [kind: string]: string | number | bigint | undefined }

const MAX_KINDS = 8

/** A subject in the form that keys and reports use, e.g. `user:42`. */
export interface Identity {
  readonly kind: string
  readonly label: string
}

/**
 * @throws InvalidKey when an id is empty, has control characters or is no text or number
 * @throws InvalidOption when there is no subject, or more than eight
 */
export function identities(subject: Subject): Identity[] {
  if (typeof subject !== 'object' || subject === null)
    return [{ kind: '', label: encodePart(textOf(subject), 'subject') }]
  const out: Identity[] = []
  for (const kind in subject) {
    const id = subject[kind]
    if (id === undefined) continue
    const text = textOf(id)
    const part = encodePart(kind === 'ip' ? ipKey(text) : text, 'subject')
    out.push({ kind, label: `${encodePart(kind, 'kind of subject')}:${part}` })
  }
  if (out.length === 0 || out.length > MAX_KINDS) {
    throw new InvalidOption(
      `${out.length} subjects were given`,
      `give one to ${MAX_KINDS}, e.g. { user: id }`,
    )
  }
  return out
}

/** The subject of a label, as `report()` shows it and as a person writes it: `user:42`, or `42` alone. */
export function subjectOf(label: string): Subject {
  const at = label.indexOf(':')
  if (at <= 0) return decodeName(label)
  const kind = decodeName(label.slice(0, at))
  const id = decodeName(label.slice(at + 1))
  // The network of an address stands for all of it.
  return { [kind]: kind === 'ip' ? id.replace(/\/\d{1,3}$/, '') : id }
}

function textOf(id: unknown): string {
  if (typeof id === 'string') return id
  if (typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id)
  throw new InvalidKey(
    'the id of a subject is neither text nor a whole number',
    'give the id of a user, an address …',
  )
}

/**
 * Keys of a limiter's subjects. One subject's windows share one key, and so one slot; with
 * `colocate` all subjects of a call share the slot of that kind's id.
 */
export class SubjectKeys {
  readonly prefix: string
  /** Where refunds, resets and lifted blocks are told. */
  readonly channel: string
  readonly #colocate: string | undefined

  constructor(namespace: string, name: string, colocate: string | undefined) {
    const space = `hf:${encodePart(namespace, 'namespace')}:rl:`
    this.prefix = `${space}${encodePart(name, 'limiter name')}:`
    this.channel = `${space}relief`
    this.#colocate = colocate
  }

  /** Of one subject by itself. */
  keyOf(who: Identity): string {
    return `${this.prefix}{${boundName('', who.label)}}`
  }

  parts(who: readonly Identity[], policyFor: (kind: string) => Policy): Part[] {
    const together = this.#colocate
    if (together === undefined) {
      return who.map((one) => {
        const label = boundName('', one.label)
        return { key: `${this.prefix}{${label}}`, tag: label, policy: policyFor(one.kind) }
      })
    }
    const home = who.find((one) => one.kind === together)
    if (!home) {
      throw new InvalidOption(
        `the call names no '${together}', which holds its subjects together`,
        'add it, or drop colocate',
      )
    }
    const tag = boundName('', home.label)
    return who.map((one) => ({
      key: one === home ? `${this.prefix}{${tag}}` : `${this.prefix}{${tag}}${boundName('', one.label)}`,
      tag,
      policy: policyFor(one.kind),
    }))
  }
}
