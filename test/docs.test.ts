import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { publicSymbols, silentMethods, withTables } from '../scripts/doc-sources.ts'
import { ERROR_CODES } from '../src/base/errors.ts'
import { EXAMPLES } from '../src/cli/demo-examples.ts'
import {
  anchorsOf,
  codeBlocks,
  linksOf,
  markdownPages,
  repositoryRoot,
  tableRows,
} from './support/markdown.ts'

const pages = markdownPages()
const byPath = new Map(pages.map((page) => [page.path, page]))

describe('the documentation', () => {
  it('lists every error code with its meaning, and no other', () => {
    const rows = tableRows(byPath.get('docs/5.errors.md')!).filter(([code]) => /^`[A-Z_]+`$/.test(code ?? ''))
    const listed = Object.fromEntries(rows.map(([code = '', meaning]) => [code.slice(1, -1), meaning]))
    expect(listed).toEqual(ERROR_CODES)
  })

  it('lists options, events and figures as the source and the bench have them (npm run docs:tables)', () => {
    for (const path of ['docs/25.options.md', 'docs/26.events.md', 'docs/27.performance.md']) {
      const { text } = byPath.get(path)!
      expect(text).toContain(': npm run docs:tables -->')
      expect(withTables(text)).toBe(text)
      if (path === 'docs/27.performance.md') continue
      const silent = tableRows(byPath.get(path)!).filter(([, meaning]) => meaning === '')
      expect(silent.map(([name]) => `${path} ${name}`)).toEqual([])
    }
  })

  it('says in JSDoc what each symbol of the public API is for', () => {
    const symbols = publicSymbols()
    expect(symbols.length).toBeGreaterThan(400)
    const silent = symbols.filter(({ documented }) => !documented)
    expect([...new Set(silent.map(({ name, file }) => `${file} ${name}`))]).toEqual([])
    const faces =
      /^(?:Holdfast|HoldfastRedis|Cache|Limiter|ConcurrencyLimiter|Permit|Outbound|Lock|Locks|Lease|ReadWriteLock|Once|Step|Sessions?|SessionCookie|Tokens|Queue|DeadLetters|HttpCache|Metrics|Admin|RedisPort|QuorumLocks)$/
    expect(symbols.filter(({ name }) => faces.test(name)).flatMap(silentMethods)).toEqual([])
  })

  it('has no dead links', () => {
    const dead: string[] = []
    for (const page of pages) {
      for (const { target, anchor } of linksOf(page)) {
        const path = target === '' ? page.path : posix.join(dirname(page.path), decodeURI(target))
        if (!existsSync(join(repositoryRoot, path))) dead.push(`${page.path}: ${target}`)
        else if (anchor !== undefined && path.endsWith('.md')) {
          const there = byPath.get(path)
          if (there && !anchorsOf(there).has(anchor)) dead.push(`${page.path}: ${target}#${anchor}`)
        }
      }
    }
    expect(dead).toEqual([])
  })

  it('has one page per number, and each is reachable from the README', () => {
    const numbers = pages
      .map((page) => /^docs\/(\d+)\.[a-z-]+\.md$/.exec(page.path)?.[1])
      .filter((number) => number !== undefined)
      .map(Number)
      .sort((a, b) => a - b)
    expect(numbers).toEqual([...new Set(numbers)])
    const linked = new Set(linksOf(byPath.get('README.md')!).map(({ target }) => target))
    const lost = pages.filter((page) => page.path.startsWith('docs/') && !linked.has(page.path))
    expect(lost.map((page) => page.path)).toEqual([])
  })

  it('tells nobody to run what stops a server, destroys data, or is forbidden elsewhere in it [B24][B26][S4-7]', () => {
    const harm =
      /\b(?:FLUSHALL|FLUSHDB|SWAPDB|SHUTDOWN|(?<!holdfast )KEYS [*'"]|MONITOR|CONFIG SET)\b|stop-writes-on-bgsave-error no|xargs\b.*\bDEL\b|\bRPOP\b/i
    const recipes = pages.flatMap((page) =>
      codeBlocks(page)
        .filter(({ language }) => /^(?:|sh|bash|shell|redis|conf)$/.test(language))
        .flatMap(({ text }) => text.split('\n').map((line) => `${page.path}: ${line}`)),
    )
    expect(recipes.length).toBeGreaterThan(20)
    // To take such a command away is no harm.
    expect(recipes.filter((line) => harm.test(line) && !/: rename-command \S+ ""/.test(line))).toEqual([])
  })

  it('says on the first page what comes next, and where to read on outside [S4-49][S4-50]', () => {
    const section = (path: string, heading: string) =>
      new RegExp(`^## ${heading}$([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, 'm').exec(
        byPath.get(path)!.text,
      )?.[1] ?? ''
    const next = linksOf({ path: 'docs/1.start.md', text: section('docs/1.start.md', 'Next') })
    expect(new Set(next.map(({ target }) => target)).size).toBeGreaterThan(8)
    const outside = [...section('docs/4.redis.md', 'Elsewhere').matchAll(/\]\((https:\/\/[^)]+)\)/g)]
    expect(new Set(outside.map(([, link = '']) => new URL(link).hostname)).size).toBeGreaterThan(6)
  })

  it('weighs what else there is, and when it is the better choice [S2-48]', () => {
    const { text } = byPath.get('docs/20.why.md')!
    const asked = [...text.matchAll(/^\*\*Why not (.+?)\?\*\*/gm)].map(([, other = '']) => other)
    for (const other of ['local memory', 'Memcached', 'Hazelcast', 'CDN']) {
      expect(asked.filter((name) => name.includes(other))).toHaveLength(1)
    }
    expect(text).toContain('## When not to use it')
  })

  it('names only npm scripts that exist', () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(
      readFileSync(join(repositoryRoot, 'package.json'), 'utf8'),
    )
    const named = pages.flatMap((page) =>
      [...page.text.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1]!),
    )
    expect(named.filter((name) => !(name in scripts))).toEqual([])
    expect(named).toContain('check')
  })

  it('names only examples and commands that exist', () => {
    const said = (words: RegExp) =>
      pages.flatMap((page) => [...page.text.matchAll(words)].map((match) => match[1]!))
    const examples = said(/npm start -- ([a-z]+)/g)
    expect(examples.length).toBeGreaterThan(0)
    expect(examples.filter((name) => !(name in EXAMPLES))).toEqual([])
    const cli = readdirSync(join(repositoryRoot, 'src/cli')).map((name) =>
      readFileSync(join(repositoryRoot, 'src/cli', name), 'utf8'),
    )
    const known = new Set(
      cli.flatMap((text) => [...text.matchAll(/new Command\('([a-z]+)'/g)].map(([, name]) => name)),
    )
    const commands = said(/`?npx holdfast ([a-z]+)/g)
    expect(commands.length).toBeGreaterThan(3)
    expect(commands.filter((name) => !known.has(name))).toEqual([])
  })
})
