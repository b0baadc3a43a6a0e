import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { markdownPages, repositoryRoot } from './support/markdown.ts'
import { type RedisServer, startRedis } from './support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from './support/token-server.ts'

const run = promisify(execFile)
const page = markdownPages().find(({ path }) => path === 'docs/1.start.md')!
const section = /^## One piece alone$([\s\S]*?)^## /m.exec(page.text)?.[1] ?? ''
const blocks = [...section.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)

/** By capability: what two processes print, one after the other, without and with a Redis. */
const EXPECTED: Record<string, { embedded: [RegExp, RegExp]; shared: [RegExp, RegExp] }> = {
  token: {
    embedded: [/^token valid \S+$/, /^token valid \S+$/],
    shared: [/^token valid \S+$/, /^token valid \S+$/],
  },
  limit: {
    embedded: [/1 sent\n.*2 sent\n.*3 sent\n.*4 refused$/, /1 sent\n.*2 sent\n.*3 sent\n.*4 refused$/],
    shared: [/1 sent\n.*2 sent\n.*3 sent\n.*4 refused$/, /1 refused\n.*2 refused\n.*3 refused\n.*4 refused$/],
  },
  cache: {
    embedded: [/^product tea loads here 1$/, /^product tea loads here 1$/],
    shared: [/^product tea loads here 1$/, /^product tea loads here 0$/],
  },
  session: {
    embedded: [/^cart tea sessions of anna 1$/, /^cart tea sessions of anna 1$/],
    shared: [/^cart tea sessions of anna 1$/, /^cart tea sessions of anna 2$/],
  },
}

describe('each capability alone, by its block of the documentation', () => {
  let redis: RedisServer
  let idp: TokenServer
  let folder: string
  beforeAll(async () => {
    redis = await startRedis()
    idp = await startTokenServer()
    folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    await idp.stop()
    await redis.stop()
  })

  /** As a program of its own, against the sources in place of the built package. */
  async function play(name: string, code: string, env: Record<string, string>): Promise<string> {
    const file = join(folder, `${name}.mts`)
    const source = (path: string) => pathToFileURL(join(repositoryRoot, 'src', path, 'index.ts')).href
    writeFileSync(
      file,
      code.replace(/from 'holdfast\/([a-z]+)'/g, (_, path: string) => `from '${source(path)}'`),
    )
    const { REDIS_URL: _, ...rest } = process.env
    const { stdout } = await run(process.execPath, ['--import', 'tsx', file], {
      cwd: repositoryRoot,
      timeout: 60_000,
      env: {
        ...rest,
        TOKEN_URL: idp.tokenUrl,
        CLIENT_ID: CLIENT.clientId,
        CLIENT_SECRET: CLIENT.clientSecret,
        ...env,
      },
    })
    return stdout.trim()
  }

  it('there is one block for each of the four, and it needs no other capability [S0-33]', () => {
    const imports = blocks.map((code) => [...code.matchAll(/from '([^']+)'/g)].map(([, from]) => from))
    expect(imports.map((names) => names.sort())).toEqual(
      Object.keys(EXPECTED).map((name) => [`holdfast/${name}`, 'holdfast/redis'].sort()),
    )
  })

  it.each(Object.keys(EXPECTED))(
    '%s runs in process memory, and shared between two processes on a real Redis [S0-33]',
    async (name) => {
      const code = blocks[Object.keys(EXPECTED).indexOf(name)] ?? ''
      const { embedded, shared } = EXPECTED[name]!
      const before = idp.calls
      for (const printed of embedded) expect(await play(name, code, {})).toMatch(printed)
      const own = idp.calls - before
      for (const printed of shared) expect(await play(name, code, { REDIS_URL: redis.url })).toMatch(printed)
      if (name === 'token') expect({ own, all: idp.calls - before }).toEqual({ own: 2, all: 3 })
    },
    120_000,
  )
})
