import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { cyclesIn, readTree, type SourceFile, sourceFile } from './support/source-tree.ts'

/**
 * The house has floors: a folder imports from lower floors and from itself, never up, and never
 * sideways unless named here.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['base'],
  ['memory', 'redis'],
  ['lock', 'limit', 'queue'],
  ['cache'],
  ['once', 'session', 'token'],
  ['options.ts', 'operations.ts'],
  ['face.ts'],
  ['holdfast.ts', 'config.ts'],
  ['index.ts', 'http', 'observe', 'doctor'],
  ['admin'],
  ['fastify', 'express', 'hono', 'nest', 'undici', 'next', 'keyv', 'cli', 'testing', 'otel'],
]
/** `cache` stands above `lock` only to use it; the rest of that floor is none of its business. */
const FORBIDDEN_DOWN: Readonly<Record<string, readonly string[]>> = { cache: ['limit', 'queue'] }
/** What is heard stands beside who hears it. */
const SIDEWAYS: Readonly<Record<string, readonly string[]>> = { observe: ['http'] }

/** Packages, and the one place that may import each. Peers of the user are imported lazily only. */
const PACKAGES: Readonly<Record<string, { in: RegExp; lazily?: true }>> = {
  redis: { in: /^redis\//, lazily: true },
  '@redis/client': { in: /^redis\//, lazily: true },
  ioredis: { in: /^redis\//, lazily: true },
  'lru-cache': { in: /^(memory|cache)\// },
  commander: { in: /^cli\// },
  msgpackr: { in: /^cache\//, lazily: true },
  'prom-client': { in: /^observe\// },
  '@opentelemetry/api': { in: /^otel\// },
  bullmq: { in: /^queue\//, lazily: true },
  fastify: { in: /^fastify\// },
  express: { in: /^express\// },
  hono: { in: /^hono\// },
  jose: { in: /^admin\//, lazily: true },
  '@nestjs/common': { in: /^nest\// },
  '@nestjs/core': { in: /^nest\// },
  rxjs: { in: /^nest\// },
  undici: { in: /^undici\// },
  keyv: { in: /^keyv\// },
}

/** Files that may read real time and real randomness: the two ports, and programs for people. */
const REAL_WORLD: readonly { readonly where: RegExp; readonly why: string }[] = [
  { where: /^base\/clock\.ts$/, why: 'is the port to time' },
  { where: /^base\/random\.ts$/, why: 'is the port to randomness' },
  { where: /^cli\//, why: 'a program for a terminal, never simulated' },
]
const REAL_WORLD_WORDS: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bperformance\s*\./,
  /\bprocess\.(?:hrtime|nextTick|uptime)\b/,
  /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/,
  /\bAbortSignal\.timeout\b/,
  /\bMath\.random\b/,
  /\b(?:randomBytes|randomInt|randomUUID|randomFill|randomFillSync|getRandomValues)\b/,
]

/** Longer than 300 lines: how long at most, and why. */
const LONG: readonly { readonly where: RegExp; readonly upTo: number; readonly why: string }[] = [
  {
    where: /^cache\/cache\.ts$/,
    upTo: 480,
    why: 'one class of thin public verbs, a quarter of it documentation',
  },
  {
    where: /^cache\/memory-store\.ts$/,
    upTo: 480,
    why: 'the whole protocol in memory, the model of the other',
  },
  {
    where: /^cache\/redis-store\/redis-store\.ts$/,
    upTo: 380,
    why: 'the verbs of one port; its parts are apart',
  },
  {
    where: /\/scripts\.ts$/,
    upTo: 400,
    why: 'Lua and its reasons: rules of one protocol, read side by side',
  },
  {
    where: /^session\/(?:memory|redis)-store\.ts$/,
    upTo: 345,
    why: 'the verbs of one port, held to each other',
  },
  {
    where: /^session\/sessions\.ts$/,
    upTo: 330,
    why: 'one class of thin public verbs, half of it documentation',
  },
  {
    where: /^redis\/bullmq-client\.ts$/,
    upTo: 360,
    why: 'the verbs of one interface that BullMQ prescribes',
  },
  {
    where: /^queue\/partition-worker\.ts$/,
    upTo: 330,
    why: 'one loop: take, batch, call, bury; what follows from answers is apart',
  },
  { where: /^testing\/[a-z-]+-contract\.ts$/, upTo: 400, why: 'a list of behaviours, each read by itself' },
]

/** Reads the environment: everything else gets its configuration handed in. */
const READS_ENVIRONMENT = /^(?:config\.ts|cli\/)/

const RULES: Readonly<Record<string, (file: SourceFile) => string[]>> = {
  'imports go down the floors only'(file) {
    const own = unitOf(file.path)
    return file.imports.flatMap(({ target }) => {
      if (target === undefined) return []
      const other = unitOf(target)
      if (other === own || SIDEWAYS[own]?.includes(other)) return []
      if (floorOf(other) < floorOf(own) && !FORBIDDEN_DOWN[own]?.includes(other)) return []
      return [`imports ${target}`]
    })
  },
  'every file stands in a known folder': (file) =>
    floorOf(unitOf(file.path)) < 0 ? [`'${unitOf(file.path)}' is not in the table of floors`] : [],
  'imports name concrete files, with their extension': (file) =>
    file.imports.flatMap(({ specifier }) => {
      if (!specifier.startsWith('.')) return []
      if (!specifier.endsWith('.ts')) return [`${specifier} has no .ts`]
      return specifier.endsWith('index.ts') ? [`${specifier} is a barrel`] : []
    }),
  'packages are imported in their own place only': (file) =>
    file.imports.flatMap(({ specifier, dynamic }) => {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) return []
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
      const rule = PACKAGES[name]
      if (!rule?.in.test(file.path)) return [`imports ${specifier}`]
      return rule.lazily && !dynamic ? [`imports ${specifier} statically`] : []
    }),
  'time, timers and randomness come from the ports': (file) =>
    REAL_WORLD.some(({ where }) => where.test(file.path))
      ? []
      : REAL_WORLD_WORDS.flatMap((word) => word.exec(file.code)?.[0] ?? []),
  'only the configuration and the command line read the environment': (file) =>
    READS_ENVIRONMENT.test(file.path) ? [] : [...(/\bprocess\.env\b/.exec(file.code) ?? [])],
  'a file is at most 300 lines, unless a reason is written down': (file) =>
    file.lines > (LONG.find(({ where }) => where.test(file.path))?.upTo ?? 300)
      ? [`${file.lines} lines`]
      : [],
  'names are kebab-case nouns, and nothing is a drawer': (file) => [
    ...(/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(file.path) ? [] : ['name']),
    ...(/(?:^|\/)(?:utils?|types|helpers?|common|misc)(?:\.ts|\/)/.test(file.path) ? ['a drawer'] : []),
  ],
  'nothing is switched off or left for later': (file) => [
    ...(/@ts-(?:ignore|nocheck|expect-error)|\b(?:TODO|FIXME|XXX)\b/.exec(file.text) ?? []),
  ],
  'a double assertion has its reason beside it, or above several': (file) =>
    file.text.split('\n').flatMap((line, index, all) => {
      if (!/\bas unknown as\b/.test(line)) return []
      const beside = /\/\/|\*/.test(line) || /^\s*(?:\/\/|\*)/.test(all[index - 1] ?? '')
      const above = all.slice(0, index).some((earlier) => /^\s*\/\/ The casts below: \S/.test(earlier))
      return beside || above ? [] : [`line ${index + 1}`]
    }),
}

function unitOf(path: string): string {
  return path.split('/')[0]!
}

function floorOf(unit: string): number {
  return FLOORS.findIndex((floor) => floor.includes(unit))
}

const tree = readTree(fileURLToPath(new URL('../src', import.meta.url)))

describe('the architecture', () => {
  for (const [rule, check] of Object.entries(RULES)) {
    it(rule, () => {
      expect(tree.flatMap((file) => check(file).map((fault) => `${file.path}: ${fault}`))).toEqual([])
    })
  }

  it('has no import cycles, types included', () => {
    expect(cyclesIn(tree)).toEqual([])
  })

  it('keeps no exception that is no longer needed', () => {
    const long = tree.filter((file) => file.lines > 300).map((file) => file.path)
    const idle = LONG.filter(({ where }) => !long.some((path) => where.test(path)))
    expect(idle.map(({ where }) => String(where))).toEqual([])
  })

  it('stays in small files', () => {
    const sizes = tree.map((file) => file.lines).sort((a, b) => a - b)
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThanOrEqual(150)
  })
})

/** The dashboard's own floors; of the library it knows shapes, which cost the page nothing. */
const PAGE_FLOORS: readonly (readonly string[])[] = [
  ['api'],
  ['parts'],
  ['charts'],
  ['views'],
  ['views.ts'],
  ['frame.tsx'],
  ['app.tsx'],
  ['main.tsx'],
]
const PAGE_PACKAGES = /^(?:preact(?:\/hooks)?|@preact\/signals|uplot)(?:\/|$)/

describe('the dashboard', () => {
  const page = readTree(fileURLToPath(new URL('../dashboard/src', import.meta.url)), ['.ts', '.tsx'])
  const pageFloor = (path: string) => PAGE_FLOORS.findIndex((floor) => floor.includes(unitOf(path)))

  it('imports down its floors only, of the library nothing but types of the administration', () => {
    const faults = page.flatMap(({ path, text, imports }) =>
      imports.flatMap(({ specifier, target }) => {
        if (target === undefined) return PAGE_PACKAGES.test(specifier) ? [] : [`${path} imports ${specifier}`]
        if (target.startsWith('style/') || unitOf(target) === unitOf(path)) return []
        if (!target.startsWith('..')) {
          const isDown = pageFloor(target) >= 0 && pageFloor(target) < pageFloor(path)
          return isDown ? [] : [`${path} imports ${target}`]
        }
        const isShape = /^(?:\.\.\/)+src\/(?:admin\/|face\.ts$)/.test(target)
        const isTypeOnly = new RegExp(`^import type \\{[^}]*\\} from '${specifier}'`, 'm').test(text)
        return isShape && isTypeOnly ? [] : [`${path} imports ${target}`]
      }),
    )
    expect(faults).toEqual([])
  })

  it('has no cycles, and small files with plain names', () => {
    expect(cyclesIn(page)).toEqual([])
    expect(page.filter(({ lines }) => lines > 200).map(({ path }) => path)).toEqual([])
    const names = /^(?:[a-z]+\/)?[a-z]+(?:-[a-z]+)*\.tsx?$/
    expect(page.filter(({ path }) => !names.test(path)).map(({ path }) => path)).toEqual([])
  })
})

describe('the rules', () => {
  const samples: [rule: keyof typeof RULES, path: string, text: string][] = [
    ['imports go down the floors only', 'base/a.ts', "import type { B } from '../redis/b.ts'"],
    ['imports go down the floors only', 'lock/a.ts', "export { b } from '../limit/b.ts'"],
    ['imports go down the floors only', 'cache/a.ts', "import {\n  b,\n} from '../limit/b.ts'"],
    ['imports go down the floors only', 'once/a.ts', "const b = await import('../admin/b.ts')"],
    ['every file stands in a known folder', 'stuff/a.ts', ''],
    [
      'imports name concrete files, with their extension',
      'lock/a.ts',
      "import { b } from '../redis/index.ts'",
    ],
    ['imports name concrete files, with their extension', 'lock/a.ts', "import { b } from './b'"],
    ['packages are imported in their own place only', 'redis/a.ts', "import type { X } from 'redis'"],
    ['packages are imported in their own place only', 'cache/a.ts', "await import('ioredis')"],
    ['packages are imported in their own place only', 'base/a.ts', "import x from '@scope/x/y'"],
    ['time, timers and randomness come from the ports', 'cache/a.ts', 'const x = { at: Date.now() }'],
    [
      'time, timers and randomness come from the ports',
      'cache/a.ts',
      "import { randomUUID } from 'node:crypto'",
    ],
    ['only the configuration and the command line read the environment', 'redis/a.ts', 'process.env.X'],
    ['a file is at most 300 lines, unless a reason is written down', 'lock/a.ts', '\n'.repeat(301)],
    ['names are kebab-case nouns, and nothing is a drawer', 'lock/camelCase.ts', ''],
    ['names are kebab-case nouns, and nothing is a drawer', 'lock/utils.ts', ''],
    ['nothing is switched off or left for later', 'lock/a.ts', '// @ts-ignore'],
    ['a double assertion has its reason beside it, or above several', 'lock/a.ts', '\nx as unknown as Y'],
  ]
  it.each(samples)('catch a breach: %s (%s)', (rule, path, text) => {
    expect(RULES[rule]!(sourceFile(path, text))).not.toEqual([])
  })

  it('catch a cycle through types, and let comments and strings be', () => {
    const a = sourceFile('base/a.ts', "import type { B } from './b.ts'")
    const b = sourceFile('base/b.ts', "/* why */ export type { A } from './a.ts'")
    expect(cyclesIn([a, b])).toEqual([['base/a.ts', 'base/b.ts']])
    const quiet = sourceFile('lock/a.ts', "// Date.now()\nconst hint = 'use setTimeout' // import('redis')")
    expect(Object.values(RULES).flatMap((check) => check(quiet))).toEqual([])
  })
})
