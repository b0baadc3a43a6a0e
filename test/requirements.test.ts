import { describe, expect, it } from 'vitest'
import { markdownPages, tableRows } from './support/markdown.ts'
import { idsInTitles, provedRequirements, REQUIREMENT_ID } from './support/requirement-ids.ts'

const page = markdownPages().find(({ path }) => path === 'docs/6.requirements.md')!
const table = tableRows(page)
  .filter(([id]) => REQUIREMENT_ID.test(id ?? ''))
  .map(([id = '', what = '', where = '']) => ({
    id,
    what,
    files: [...where.matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
  }))

describe('the table of requirements', () => {
  it('names for each id exactly the files whose test titles carry it (npm run docs:tables)', () => {
    const listed = table.filter(({ files }) => files.length > 0).map(({ id, files }) => [id, files])
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(provedRequirements()))
  })

  it('has no id without a test but those that are listed with a reason, and none of these too many', () => {
    const excuses = tableRows(page).flatMap(([first = '', why = '']) => {
      const id = /^`([^`]+)`$/.exec(first)?.[1]
      return id && REQUIREMENT_ID.test(id) ? [{ id, why }] : []
    })
    const unproved = table.filter(({ files }) => files.length === 0).map(({ id }) => id)
    expect(excuses.map(({ id }) => id).sort()).toEqual(unproved.sort())
    expect(excuses.filter(({ why }) => why.length < 10)).toEqual([])
  })

  it('says of each id what is required, once', () => {
    expect(table.filter(({ what }) => what.length < 10)).toEqual([])
    expect(new Set(table.map(({ id }) => id)).size).toBe(table.length)
  })

  it('has every id of a test title', () => {
    const known = new Set(table.map(({ id }) => id))
    expect([...provedRequirements().keys()].filter((id) => !known.has(id))).toEqual([])
  })

  it('reads ids in every form that titles use', () => {
    const source =
      "it('[S1-2] a'\nit.each([['x (y)'], ['z']])(\n  `b [B3, P4]`\ndescribe(\"x [S0-1][S0-2]\"\nit('no [id]'"
    expect(idsInTitles(source)).toEqual(['S1-2', 'B3', 'P4', 'S0-1', 'S0-2'])
  })
})
