/**
 * Which requirement ids the titles of the tests carry, and where: `it('answers … [S1-19][B13]'`. The
 * contract suites in src/testing count: the tests run them over every adapter.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from './markdown.ts'

/** `S1-19` a requirement, `B5` a fault not to repeat, `P7` a behaviour of caches. */
export const REQUIREMENT_ID = /^(?:S\d-\d+|B\d+|P\d+)$/

/** Ids with the files that prove them, both sorted. */
export function provedRequirements(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const folder of ['test', 'examples', 'src/testing']) {
    const names = readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
    for (const path of names.map((name) => `${folder}/${name.replaceAll('\\', '/')}`).sort()) {
      if (!path.endsWith('.ts') || /node_modules|test\/requirements\.test\.ts$/.test(path)) continue
      for (const id of new Set(idsInTitles(readFileSync(join(repositoryRoot, path), 'utf8')))) {
        found.set(id, [...(found.get(id) ?? []), path])
      }
    }
  }
  return new Map([...found].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })))
}

/** Every bracketed id of a string that is the first argument of a call. */
export function idsInTitles(source: string): string[] {
  const firstArguments = source.matchAll(/\(\s*(['"`])((?:[^\\]|\\[\s\S])*?)\1/g)
  return [...firstArguments].flatMap(([, , title = '']) =>
    [...title.matchAll(/\[([^\]]+)\]/g)].flatMap(([, group = '']) =>
      group.split(/[\s,]+/).filter((word) => REQUIREMENT_ID.test(word)),
    ),
  )
}
