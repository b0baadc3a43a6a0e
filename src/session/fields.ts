import { InvalidValue } from '../base/errors.ts'
import { encodeName } from '../base/key.ts'
import type { Random } from '../base/random.ts'
import type { StandardSchema } from '../base/schema.ts'
import { type EncryptionSetup, KeyRing } from '../cache/encrypt.ts'
import { readJson, writeJson } from '../cache/json.ts'

/** A field as it was loaded or last written: what we compare with, and what the store holds. */
export interface Known {
  readonly json: string
  readonly text: string
  /** Where it is no object: what need not be encoded to see that it is unchanged. */
  readonly plain?: Plain | undefined
}

type Plain = string | number | boolean | null

export const plainOf = (value: unknown): Plain | undefined =>
  value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : undefined

const MAX_FIELD_NAME = 256
const MAX_NAMES = 1_000

/**
 * Between the data of a session and the texts that are stored: one JSON text per top-level key,
 * where there are keys encrypted under the session's own name, so that no text can be moved to
 * another session or another field.
 */
export class FieldCodec {
  readonly #ring: KeyRing | undefined
  readonly #space: string
  /** Names that were found usable. */
  readonly #names = new Set<string>()
  readonly #schema: StandardSchema | undefined
  readonly #migrate: ((data: unknown) => unknown) | undefined

  constructor(
    space: string,
    options: {
      encryption?: EncryptionSetup | false | undefined
      schema?: StandardSchema | undefined
      migrate?: ((data: unknown) => unknown) | undefined
    },
    random: Random,
  ) {
    this.#ring = options.encryption ? new KeyRing(options.encryption, random) : undefined
    this.#space = `session ${space}`
    this.#schema = options.schema
    this.#migrate = options.migrate
  }

  /** True when a text is bound to the id of its session, and must be written anew for another id. */
  get bound(): boolean {
    return this.#ring !== undefined
  }

  get checks(): boolean {
    return this.#schema !== undefined
  }

  seal(json: string, member: string, name: string): string {
    return this.#ring
      ? this.#ring.seal(Buffer.from(json), this.#space, member, name).toString('base64url')
      : json
  }

  /** @throws when it was changed, moved, or sealed with an unknown key */
  unseal(text: string, member: string, name: string): string {
    if (!this.#ring) return text
    return this.#ring.unseal(Buffer.from(text, 'base64url'), this.#space, member, name).toString()
  }

  /** JSON text of every key that has a value. @throws InvalidValue, InvalidKey */
  write(data: object): Map<string, string> {
    const out = new Map<string, string>()
    for (const [name, value] of Object.entries(data)) {
      if (value !== undefined) out.set(name, this.writeField(name, value))
    }
    return out
  }

  /** JSON text of one value. @throws InvalidValue, InvalidKey */
  writeField(name: string, value: unknown): string {
    this.#checkName(name)
    return writeJson(value, false).text
  }

  /**
   * Data from stored texts, `undefined` when it is damaged or does not match the schema.
   * With a schema, `known` compares with what the schema made of it, so that a session that nobody
   * changed is not written.
   */
  async read(
    texts: ReadonlyMap<string, string>,
    member: string,
  ): Promise<{ data: Record<string, unknown>; known: Map<string, Known> } | undefined> {
    const raw: Record<string, unknown> = {}
    const known = new Map<string, Known>()
    try {
      for (const [name, text] of texts) {
        const json = this.unseal(text, member, `.${name}`)
        this.#checkName(name)
        const value = readJson(json, false)
        raw[name] = value
        known.set(name, { json, text, plain: plainOf(value) })
      }
    } catch {
      return undefined
    }
    if (!this.#schema) return { data: raw, known }
    const conformed = await this.#conform(raw)
    if (!conformed) return undefined
    const { data, migrated } = conformed
    // An upgrade is to be stored with the next save: it counts as a change.
    if (migrated) return { data, known }
    const jsons = this.write(data)
    for (const [name, was] of known) {
      const json = jsons.get(name)
      if (json !== undefined) known.set(name, { json, text: was.text })
    }
    // What the schema added or dropped is not a change of the application's.
    for (const [name, json] of jsons) if (!known.has(name)) known.set(name, { json, text: '' })
    for (const name of known.keys()) if (!jsons.has(name)) known.delete(name)
    return { data, known }
  }

  /** @throws InvalidValue when the data does not match the schema */
  async check(data: object): Promise<void> {
    if (!this.#schema) return
    const result = await this.#schema['~standard'].validate(data)
    if (!result.issues) return
    const first = result.issues[0]?.path?.map((part) => keyOf(part)).join('.')
    throw new InvalidValue(
      `the session data does not match its schema${first ? ` at ${first.slice(0, 100)}` : ''}`,
      'store what the schema describes, or change the schema',
    )
  }

  /** The names of one application are few and come back in each session. */
  #checkName(name: string): void {
    if (this.#names.has(name)) return
    encodeName(name, 'session field')
    if (name === '__proto__' || name.length > MAX_FIELD_NAME) {
      throw new InvalidValue(
        'a session field has an unusable name',
        `use names of at most ${MAX_FIELD_NAME} characters other than __proto__`,
      )
    }
    if (this.#names.size < MAX_NAMES) this.#names.add(name)
  }

  async #conform(raw: unknown): Promise<{ data: Record<string, unknown>; migrated: boolean } | undefined> {
    const schema = this.#schema!['~standard']
    let result = await schema.validate(raw)
    const migrated = result.issues !== undefined
    if (result.issues && this.#migrate) {
      let upgraded: unknown
      try {
        upgraded = await this.#migrate(raw)
      } catch {
        return undefined
      }
      if (upgraded === undefined) return undefined
      result = await schema.validate(upgraded)
    }
    if (result.issues || typeof result.value !== 'object' || result.value === null) return undefined
    return { data: { ...result.value }, migrated }
  }
}

function keyOf(part: unknown): string {
  return String(typeof part === 'object' && part !== null && 'key' in part ? part.key : part)
}
