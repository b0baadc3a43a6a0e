import { type FieldCodec, type Known, plainOf } from './fields.ts'
import type { Change } from './store.ts'

export interface Difference {
  readonly changes: readonly Change[]
  /** What is known once the changes are stored; `undefined` = the field is gone. */
  readonly after: ReadonlyMap<string, Known | undefined>
}

/** What has to be sent so that the store holds `data`: changed and removed fields, nothing else. */
export function differences(
  codec: FieldCodec,
  member: string,
  data: object,
  known: ReadonlyMap<string, Known>,
  guarded: boolean,
): Difference {
  const changes: Change[] = []
  const after = new Map<string, Known | undefined>()
  const expected = (was: Known | undefined) => (guarded ? was?.text || null : undefined)
  let kept = 0
  for (const [name, value] of Object.entries(data)) {
    if (value === undefined) continue
    const was = known.get(name)
    if (was) kept++
    // Most fields of most sessions, and most of the work if all were encoded anew.
    if (was?.plain !== undefined && was.plain === value) continue
    const json = codec.writeField(name, value)
    if (was?.json === json) continue
    const text = codec.seal(json, member, `.${name}`)
    changes.push({ name, text, expected: expected(was) })
    after.set(name, { json, text, plain: plainOf(value) })
  }
  if (kept === known.size) return { changes, after }
  const own = new Map<string, unknown>(Object.entries(data))
  for (const [name, was] of known) {
    if (own.get(name) !== undefined) continue
    changes.push({ name, text: undefined, expected: expected(was) })
    after.set(name, undefined)
  }
  return { changes, after }
}

export function settleKnown(known: Map<string, Known>, after: ReadonlyMap<string, Known | undefined>): void {
  for (const [name, now] of after) {
    if (now) known.set(name, now)
    else known.delete(name)
  }
}
