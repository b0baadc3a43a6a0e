import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const folder = fileURLToPath(new URL('./results/', import.meta.url))
const page = readFileSync(fileURLToPath(new URL('../../../docs/14.http.md', import.meta.url)), 'utf8')

interface Result {
  readonly score: { readonly required: number; readonly optimal: number; readonly check: number }
  readonly missed: Readonly<Record<'required' | 'optimal', Readonly<Record<string, string>>>>
}
const read = (name: string) => JSON.parse(readFileSync(folder + name, 'utf8')) as Result

describe('the kept results of the public suite', () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith('-rfc.json')))(
    'of %s are above every published one',
    (name) => {
      const { score } = read(name)
      expect(score.required).toBeGreaterThan(132)
      expect(score.optimal).toBeGreaterThan(70)
    },
  )

  it('reach what the engine is to reach', () => {
    const { score } = read('engine-rfc.json')
    expect(score.required).toBeGreaterThanOrEqual(158)
    expect(score.optimal).toBeGreaterThanOrEqual(95)
  })

  it('are those that the documentation tells', () => {
    for (const profile of ['rfc', 'safe']) {
      const { required, optimal, check } = read(`engine-${profile}.json`).score
      expect(page).toContain(`| profile \`${profile}\` | ${required} of 160 | ${optimal} of 105 | ${check} |`)
    }
  })

  it('differ between the profiles only where the documentation names it', () => {
    const rfc = read('engine-rfc.json').missed
    const safe = read('engine-safe.json').missed
    const more = (['required', 'optimal'] as const).flatMap((kind) =>
      Object.keys(safe[kind]).filter((id) => !(id in rfc[kind])),
    )
    const named =
      /^(?:stale-close-|heuristic-|headers-store-Set-Cookie$|other-set-cookie$|other-cookie$|other-authorization-(?:must-revalidate|smaxage)$|cc-resp-no-cache-revalidate(?:-fresh)?$)/
    expect(more.filter((id) => !named.test(id))).toEqual([])
    expect(more.length).toBeGreaterThan(15)
  })
})
