import { describe, expect, it } from 'vitest'
import { postgresMissing } from '../support/postgres-server.ts'
import { type Ending, judge } from './proof/judge.ts'
import { idOf, lengthOf, messageAt, type ProofPlan, SHORT } from './proof/plan.ts'
import { prove } from './proof/proof.ts'

const missing = postgresMissing()

describe.skipIf(missing !== undefined)(
  `the queue under every fault at once${missing ? ` (${missing})` : ''}`,
  () => {
    it('has each acknowledged message in the table once, in order per session, with its effect once [S1-7] [S1-8] [S1-18] [S1-20] [B12] [B13]', async () => {
      const lines: string[] = []
      const { violations, figures } = await prove(SHORT, (line) => lines.push(line))
      expect(violations, `${lines.join('\n')}\n${JSON.stringify(figures, null, 2)}`).toEqual([])
      expect(figures.acknowledged).toBe(SHORT.messages)
      expect(figures['dead letters']).toBeGreaterThan(0)
      expect(figures['handler calls that failed, at least']).toBeGreaterThan(0)
      expect(figures['duplicates injected, at least']).toBeGreaterThan(100)
    }, 400_000)
  },
)

describe('the judge of the proof', () => {
  const plan: ProofPlan = { ...SHORT, messages: 600, sessions: 3 }

  /** As it should be. */
  function ending(): { -readonly [Part in keyof Ending]: Ending[Part] } {
    const rows: Ending['rows'][number][] = []
    const dead: string[] = []
    const acknowledged = new Set<string>()
    const effects = new Map<string, number>()
    for (let n = 0; n < lengthOf(plan); n++) {
      for (const session of ['s0', 's1', 's2']) {
        const id = idOf(session, n)
        acknowledged.add(id)
        if (messageAt(plan, session, n).poison) dead.push(id)
        else {
          rows.push({ id, session, n })
          effects.set(session, (effects.get(session) ?? 0) + 1)
        }
      }
    }
    return { acknowledged, rows, effects, dead }
  }

  it('finds nothing where all is well', () => {
    const fine = ending()
    expect(fine.dead.length).toBeGreaterThan(0)
    expect(judge(plan, fine)).toEqual([])
  })

  const wrongs: [string, (fine: ReturnType<typeof ending>) => void][] = [
    ['acknowledged and not in the table', (it) => (it.rows = it.rows.slice(1))],
    ['in the table and not expected', (it) => (it.rows = [...it.rows, { id: 'x', session: 's0', n: 999 }])],
    ['in the table twice', (it) => (it.rows = [...it.rows, it.rows.at(-1)!])],
    [
      'out of order',
      (it) => (it.rows = [it.rows[3]!, it.rows[1]!, it.rows[2]!, it.rows[0]!, ...it.rows.slice(4)]),
    ],
    ['second effect', (it) => (it.effects = new Map([...it.effects, ['s1', 1]]))],
    ['no dead letter', (it) => (it.dead = it.dead.slice(1))],
    ['not poison', (it) => (it.dead = [...it.dead, it.rows[0]!.id])],
    ['dead letters that are there twice', (it) => (it.dead = [...it.dead, it.dead[0]!])],
    ['never acknowledged', (it) => (it.acknowledged = new Set([...it.acknowledged].slice(1)))],
  ]
  it.each(wrongs)('finds what is %s', (what, spoil) => {
    const spoilt = ending()
    spoil(spoilt)
    expect(judge(plan, spoilt).join('\n')).toContain(what)
  })
})
