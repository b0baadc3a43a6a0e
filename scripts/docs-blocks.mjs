#!/usr/bin/env node
/**
 * Compiles every `ts` code block of README.md and docs/ against the built package, imported by its
 * own name as a user would. Line numbers in the errors are those of the Markdown file.
 *
 * Before a block, an HTML comment may say what a reader takes for granted:
 *   <!-- given: declare const db: { product(id: string): Promise<{ price: number }> } -->
 *   <!-- continues -->        the block goes on where the previous one of the page ended
 *   <!-- legacy decorators --> the block is for a project with `experimentalDecorators`, as Nest has them
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const OUT = '.docs-blocks'
const pages = [
  'README.md',
  ...readdirSync('docs', { recursive: true }).map((name) => join('docs', String(name))),
]
  .filter((path) => path.endsWith('.md') && existsSync(path))
  .sort()

if (!existsSync('dist/index.d.ts')) {
  console.error('dist/ is not built: run `npm run build` first')
  process.exit(1)
}

rmSync(OUT, { recursive: true, force: true })
mkdirSync(join(OUT, 'legacy'), { recursive: true })
const sources = new Map()
for (const page of pages) {
  for (const [index, block] of blocksOf(readFileSync(page, 'utf8')).entries()) {
    const name = `${page.replaceAll('/', '_').replace(/\.md$/, '')}.${index + 1}.ts`
    writeFileSync(join(OUT, block.legacy ? 'legacy' : '', name), block.text)
    sources.set(name, page)
  }
}
writeFileSync(
  join(OUT, 'tsconfig.json'),
  JSON.stringify({
    extends: '../tsconfig.json',
    compilerOptions: {
      paths: {},
      noUnusedLocals: false,
      noUnusedParameters: false,
      noImplicitReturns: false,
    },
    include: ['*.ts'],
    exclude: [],
  }),
)
writeFileSync(
  join(OUT, 'legacy', 'tsconfig.json'),
  JSON.stringify({
    extends: '../tsconfig.json',
    compilerOptions: { experimentalDecorators: true },
    include: ['*.ts'],
  }),
)
const results = [OUT, join(OUT, 'legacy')].map((folder) =>
  spawnSync('npx', ['--no-install', 'tsc', '-p', folder, '--pretty', 'false'], { encoding: 'utf8' }),
)
const output = results
  .map(({ stdout, stderr }) => `${stdout}${stderr}`)
  .join('')
  .replace(/^\S*?([^\s/(]+\.ts)\((\d+),(\d+)\)/gm, (whole, name, line, column) =>
    sources.has(name) ? `${sources.get(basename(name))}:${line}:${column}` : whole,
  )
if (results.every(({ status }) => status === 0)) {
  rmSync(OUT, { recursive: true, force: true })
  console.log(`${sources.size} code blocks of ${pages.length} pages compile`)
} else {
  process.stderr.write(output)
  process.exit(1)
}

/** Each block padded with empty lines, so that it stands at the line it has in the page. */
function blocksOf(text) {
  const lines = text.split('\n')
  const blocks = []
  let given = []
  let goesOn = false
  let legacy = false
  let previous = []
  for (let at = 0; at < lines.length; at++) {
    const note = /^<!--\s*given:\s*(.*?)\s*-->$/.exec(lines[at])
    if (note) given.push(note[1])
    else if (/^<!--\s*continues\s*-->$/.test(lines[at])) goesOn = true
    else if (/^<!--\s*legacy decorators\s*-->$/.test(lines[at])) legacy = true
    else if (/^```ts\s*$/.test(lines[at])) {
      const end = lines.indexOf('```', at + 1)
      const body = goesOn ? previous : []
      while (body.length < at + 1) body.push('')
      body.push(...lines.slice(at + 1, end))
      body[0] = [body[0], ...given].filter(Boolean).join('; ')
      blocks.push({ text: `${body.join('\n')}\nexport {}\n`, legacy })
      previous = body
      given = []
      goesOn = false
      legacy = false
      at = end
    } else if (lines[at].trim() && !lines[at].startsWith('<!--')) {
      given = []
      goesOn = false
      legacy = false
    }
  }
  return blocks
}
