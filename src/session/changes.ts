import type { FieldCodec, Known } from './fields.ts'
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
  const jsons = codec.write(data)
  const changes: Change[] = []
  const after = new Map<string, Known | undefined>()
  const expected = (was: Known | undefined) => (guarded ? was?.text || null : undefined)
  for (const [name, json] of jsons) {
    const was = known.get(name)
    if (was?.json === json) continue
    const text = codec.seal(json, member, `.${name}`)
    changes.push({ name, text, expected: expected(was) })
    after.set(name, { json, text })
  }
  for (const [name, was] of known) {
    if (jsons.has(name)) continue
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
