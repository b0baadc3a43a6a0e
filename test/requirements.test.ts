import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { markdownPages, repositoryRoot, tableRows } from './support/markdown.ts'

/** `S1-19` a requirement, `B5` a fault not to repeat, `P7` a behaviour of caches; see docs/6.requirements.md. */
const ID = /^(?:S\d-\d+|B\d+|P\d+)$/

/** Ids in brackets in the titles of tests: `it('[S1-19] [B13] answers …'`, `[S0-1, S0-2]` too. */
function idsInTitles(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const folder of ['test', 'examples']) {
    for (const name of readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })) {
      const path = `${folder}/${name.replaceAll('\\', '/')}`
      if (!/\.ts$/.test(path) || /node_modules|requirements\.test\.ts$/.test(path)) continue
      for (const id of idsIn(readFileSync(join(repositoryRoot, path), 'utf8'))) {
        found.set(id, (found.get(id) ?? new Set()).add(path))
      }
    }
  }
  return found
}

function idsIn(source: string): string[] {
  const titles = /\b(?:it|test|describe)(?:\.[a-zA-Z]+(?:\([^)]*\))?)*\(\s*(['"`])((?:[^\\]|\\[\s\S])*?)\1/g
  return [...source.matchAll(titles)].flatMap((title) =>
    [...title[2]!.matchAll(/\[([^\]]+)\]/g)].flatMap((group) =>
      group[1]!.split(/[\s,]+/).filter((word) => ID.test(word)),
    ),
  )
}

const table = tableRows(markdownPages().find(({ path }) => path === 'docs/6.requirements.md')!)
  .filter(([id]) => ID.test(id ?? ''))
  .map(([id = '', what = '', where = '']) => ({
    id,
    what,
    files: [...where.matchAll(/`([^`]+)`/g)].map((m) => m[1]!),
  }))

describe('the table of requirements', () => {
  const proved = idsInTitles()

  it('names for each id exactly the files whose test titles carry it', () => {
    const listed = Object.fromEntries(table.map(({ id, files }) => [id, [...files].sort()]))
    expect(listed).toEqual(Object.fromEntries([...proved].map(([id, files]) => [id, [...files].sort()])))
  })

  it('says of each id what is required, once', () => {
    expect(table.filter(({ what }) => what.length < 10)).toEqual([])
    expect(new Set(table.map(({ id }) => id)).size).toBe(table.length)
  })

  it('reads ids in every form that titles use', () => {
    const source = "it('[S1-2] a'\nit.each([1])(`[B3, P4] b`\ndescribe(\"x [S0-1]\"\nit('no [id]'"
    expect(idsIn(source)).toEqual(['S1-2', 'B3', 'P4', 'S0-1'])
  })
})
