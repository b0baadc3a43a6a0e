import { describe, expect, it } from 'vitest'
import { bundle, runBundle } from './bundle.ts'
import { MUTANTS } from './mutants.ts'

const TIMEOUT_MS = 180_000

describe('the mutation gate', () => {
  it(
    'finds what is wrong with delete-on-write at once',
    async () => {
      const args = ['--subject', 'naive', '--mix', 'calm', '--mode', 'static', '--seeds', '3']
      const figures = await runBundle(await bundle(), args, TIMEOUT_MS)
      expect(figures.violations).toHaveLength(3)
    },
    TIMEOUT_MS,
  )

  it.each(MUTANTS)(
    'notices when this rule is off: $rule',
    async ({ patches, where, from, seeds }) => {
      const [mix, mode] = where.split('/') as [string, string]
      const file = await bundle(patches)
      const range = ['--seed-from', String(from), '--seeds', String(seeds), '--first']
      const figures = await runBundle(file, ['--mix', mix, '--mode', mode, ...range], TIMEOUT_MS)
      expect(
        figures.violations,
        `${figures.runs} seeds of ${where} passed without the rule`,
      ).not.toHaveLength(0)
    },
    TIMEOUT_MS,
  )
})
