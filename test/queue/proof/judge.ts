import { idOf, lengthOf, messageAt, type ProofPlan } from './plan.ts'

/** What there is when all is over. */
export interface Ending {
  readonly acknowledged: ReadonlySet<string>
  /** In the order in which they were written. */
  readonly rows: readonly { readonly id: string; readonly session: string; readonly n: number }[]
  /** How often the second effect of a session took place. */
  readonly effects: ReadonlyMap<string, number>
  /** Ids of the dead letters. */
  readonly dead: readonly string[]
}

/** What is wrong, in words. */
export function judge(plan: ProofPlan, ending: Ending): string[] {
  const { acknowledged, rows, effects, dead } = ending
  const faults: string[] = []
  const blame = (what: string, ids: readonly string[]) => {
    if (ids.length > 0) faults.push(`${ids.length} ${what}: ${ids.slice(0, 5).join(', ')}`)
  }
  const expected = new Set<string>()
  const poison = new Set<string>()
  for (let s = 0; s < plan.sessions; s++) {
    for (let n = 0; n < lengthOf(plan); n++) {
      const isPoison = messageAt(plan, `s${s}`, n).poison !== undefined
      ;(isPoison ? poison : expected).add(idOf(`s${s}`, n))
    }
  }
  const there = new Set(rows.map(({ id }) => id))
  const dying = new Set(dead)
  const sent = [...expected, ...poison]
  blame(
    'never acknowledged',
    sent.filter((id) => !acknowledged.has(id)),
  )
  blame(
    'acknowledged and not in the table',
    [...expected].filter((id) => !there.has(id)),
  )
  blame(
    'in the table and not expected there',
    [...there].filter((id) => !expected.has(id)),
  )
  blame('in the table twice', twice(rows.map(({ id }) => id)))
  blame(
    'poison and no dead letter',
    [...poison].filter((id) => !dying.has(id)),
  )
  blame(
    'dead letters that were not poison',
    dead.filter((id) => !poison.has(id)),
  )
  blame('dead letters that are there twice', twice(dead))

  const last = new Map<string, number>()
  const written = new Map<string, number>()
  const disordered: string[] = []
  for (const { id, session, n } of rows) {
    if (n <= (last.get(session) ?? -1)) disordered.push(id)
    last.set(session, n)
    written.set(session, (written.get(session) ?? 0) + 1)
  }
  blame('out of order in their session', disordered)
  const uneven = new Set([...written.keys(), ...effects.keys()])
  blame(
    'sessions whose second effect was not once per row',
    [...uneven].filter((session) => written.get(session) !== effects.get(session)),
  )
  return faults
}

function twice(ids: readonly string[]): string[] {
  const seen = new Set<string>()
  return ids.filter((id) => seen.size === seen.add(id).size)
}
