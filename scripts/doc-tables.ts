/**
 * Rewrites the tables of the docs that follow from the source: error codes (docs/5.errors.md), which
 * test proves which requirement (docs/6.requirements.md), options (docs/25.options.md), events
 * (docs/26.events.md) and what was measured (docs/27.performance.md). Run by `npm run docs:tables`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { ERROR_CODES } from '../src/base/errors.ts'
import { tableRows } from '../test/support/markdown.ts'
import { provedRequirements } from '../test/support/requirement-ids.ts'
import { withTables } from './doc-sources.ts'

/** Replaces the rows of every table that follows the marker. */
function rewrite(path: string, rowsFrom: (old: string[][]) => string[][]): void {
  const text = readFileSync(path, 'utf8')
  const tables = /(<!-- generated: npm run docs:tables -->\n\|.*\n\|.*\n)((?:\|.*\n)*)/g
  const rewritten = text.replace(tables, (_, head: string, old: string) => {
    const rows = rowsFrom(tableRows({ path, text: old }))
    return head + rows.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
  })
  if (rewritten !== text) writeFileSync(path, rewritten)
}

rewrite('docs/5.errors.md', () =>
  Object.entries(ERROR_CODES).map(([code, meaning]) => [`\`${code}\``, meaning]),
)

for (const path of ['docs/25.options.md', 'docs/26.events.md', 'docs/27.performance.md']) {
  const text = readFileSync(path, 'utf8')
  const rewritten = withTables(text)
  if (rewritten !== text) writeFileSync(path, rewritten)
}

const proved = provedRequirements()
const isProved = (id: string) => proved.has(id)
const requirements = readFileSync('docs/6.requirements.md', 'utf8')
const excuses = requirements.replace(/^\| `([SBP][\d-]+)` \|.*\n/gm, (row, id) => (isProved(id) ? '' : row))
if (excuses !== requirements) writeFileSync('docs/6.requirements.md', excuses)
rewrite('docs/6.requirements.md', (old) =>
  old.map(([id = '', what = '']) => {
    const files = proved.get(id) ?? []
    proved.delete(id)
    return [id, what, files.map((file) => `\`${file}\``).join(' ')]
  }),
)
if (proved.size > 0) {
  console.error(
    `no such requirement: ${[...proved].map(([id, files]) => `${id} (${files.join(', ')})`).join('; ')}`,
  )
  process.exitCode = 1
}
