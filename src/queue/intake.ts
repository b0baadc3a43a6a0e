import type { Clock } from '../base/clock.ts'
import { InvalidKey } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { StandardResult } from '../base/schema.ts'
import { InvalidMessage } from './errors.ts'
import type { QueueOptions } from './options.ts'
import { messageText } from './parcel-text.ts'

/** A message that passed every check, ready to travel. */
export interface Checked {
  readonly id: string
  /** Decides the partition; `undefined` where any will do. */
  readonly key: string | undefined
  readonly coalesce: string | undefined
  readonly text: string
  readonly bytes: number
  readonly at: number
}

const MAX_ID_BYTES = 512

/** All checks of a payload, before anything is sent. */
export class Intake<T> {
  readonly #options: QueueOptions<T>
  readonly #maxBytes: number
  readonly #clock: Clock
  /** Of this process and queue: with a counter it makes ids that nobody else makes. */
  readonly #self: string
  readonly #knowsAll: boolean
  #made = 0

  /** @param knowsAll whether made ids too are to be known again: where the way may bring one twice */
  constructor(options: QueueOptions<T>, maxBytes: number, clock: Clock, random: Random, knowsAll: boolean) {
    this.#options = options
    this.#maxBytes = maxBytes
    this.#clock = clock
    this.#self = random.id()
    this.#knowsAll = knowsAll
  }

  /** At once where the schema answers at once. @throws InvalidMessage, InvalidKey */
  check(body: T, id: string | undefined): Checked | Promise<Checked> {
    const schema = this.#options.schema
    if (!schema) return this.#finish(body, id)
    const result = schema['~standard'].validate(body)
    if (result instanceof Promise) return result.then((it) => this.#finish(accepted(it), id))
    return this.#finish(accepted(result), id)
  }

  #finish(body: T, given: string | undefined): Checked {
    const { orderBy, coalesce, id: idOf } = this.#options
    const json = serialise(body)
    const key = named(orderBy?.(body), 'orderBy')
    const state = named(coalesce?.(body), 'coalesce')
    const own = named(given ?? idOf?.(body), 'id')
    const id = own ?? `${this.#self}.${(this.#made++).toString(36)}`
    const at = this.#clock.wall()
    const text = messageText(
      {
        i: id,
        t: at,
        ...(key === undefined ? {} : { k: key }),
        ...(state === undefined ? {} : { c: state }),
        ...(own === undefined && !this.#knowsAll ? {} : { u: 1 }),
      },
      json,
    )
    const bytes = Buffer.byteLength(text)
    if (bytes > this.#maxBytes) {
      throw new InvalidMessage(
        '',
        `the message is ${bytes} bytes as JSON, more than maxBytes (${this.#maxBytes})`,
      )
    }
    // Messages that are one by id, or one by state, must meet in one partition.
    return { id, key: key ?? state ?? own, coalesce: state, text, bytes, at }
  }
}

function accepted<T>(result: StandardResult<T>): T {
  if (!result.issues) return result.value
  const [first] = result.issues
  const field = (first?.path ?? [])
    .map((part) =>
      typeof part === 'object' && part !== null && 'key' in part ? String(part.key) : String(part),
    )
    .join('.')
  const where = field === '' ? 'the message' : `the field '${field.slice(0, 100)}' of the message`
  // The schema's own words may quote the value: only the place is told here, the rest is the cause.
  throw new InvalidMessage(field, `${where} does not match the schema`, { cause: result.issues })
}

function serialise(body: unknown): string | undefined {
  let field = ''
  try {
    const unfit = findUnfit(body)
    if (unfit === undefined) return JSON.stringify(body)
    field = unfit
  } catch (error) {
    throw new InvalidMessage('', 'the message cannot be written as JSON', { cause: error })
  }
  const where = field === '' ? 'the message' : `the field '${field.slice(0, 100)}' of the message`
  throw new InvalidMessage(field, `${where} cannot be written as JSON`)
}

/** Path of the first thing that JSON would drop, change or choke on; `undefined` when all is well. */
function findUnfit(value: unknown, path = '', above: readonly object[] = []): string | undefined {
  switch (typeof value) {
    case 'bigint':
    case 'symbol':
    case 'function':
      return path
    case 'number':
      return Number.isFinite(value) ? undefined : path
    case 'object':
      break
    default:
      return undefined
  }
  if (value === null || typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined
  if (above.includes(value) || above.length > 64) return path
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) return path
  const inside = [...above, value]
  for (const [name, part] of Object.entries(value)) {
    if (part === null || typeof part === 'string' || typeof part === 'boolean') continue
    const found = findUnfit(part, path === '' ? name : `${path}.${name}`, inside)
    if (found !== undefined) return found
  }
  return undefined
}

function named(value: string | undefined, what: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string')
    throw new InvalidKey(`${what} gave no string`, 'return a string or undefined')
  if (value === '' || (value.length * 3 > MAX_ID_BYTES && Buffer.byteLength(value) > MAX_ID_BYTES)) {
    throw new InvalidKey(`${what} gave an empty or overlong string`, `give 1 to ${MAX_ID_BYTES} bytes`)
  }
  if (/\p{Surrogate}/u.test(value))
    throw new InvalidKey(`${what} gave half a surrogate pair`, 'give well-formed Unicode')
  return value
}
