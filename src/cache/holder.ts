import type { StandardSchema } from '../base/schema.ts'
import type { Body } from './store.ts'

/** Something with an encoded value: an entry of the store, or what a load just brought. */
export interface Holder {
  readonly key: string
  readonly flags: string
  /** Only of an entry. */
  readonly storedAt?: number
  body: Body | undefined
  memo: { readonly value: unknown } | undefined
}

/** The decoded value of a shared entry, and by which rules it was found good. */
export class Memo {
  readonly value: unknown
  readonly schema: StandardSchema | undefined
  /** The caller's tag list last found to be covered by the entry: compared, not recomputed, on hits. */
  tags: readonly string[] | undefined = undefined

  constructor(value: unknown, schema: StandardSchema | undefined) {
    this.value = value
    this.schema = schema
  }
}
