import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { HttpProfile } from '../../../src/http/options.ts'
import { freePort } from '../../support/free-port.ts'
import { until } from '../../support/until.ts'
import { TARGETS } from './targets.ts'

/*
 * Runs the public suite github.com/http-tests/cache-tests against our caches: `npm run judge`, with
 * CACHE_TESTS_DIR naming a checkout of it in which `npm install` was run. The suite itself is not
 * part of this repository; our results are. `npm run judge -- engine:rfc` runs one only.
 */
const dir = process.env.CACHE_TESTS_DIR
const results = fileURLToPath(new URL('./results/', import.meta.url))

type Kind = 'required' | 'optimal' | 'check'
interface Test {
  readonly id: string
  readonly kind?: Kind
  readonly browser_only?: boolean
}
interface Suite {
  readonly tests: readonly Test[]
}

if (dir === undefined) {
  console.log('skipped: set CACHE_TESTS_DIR to a checkout of github.com/http-tests/cache-tests')
} else {
  const wanted = process.argv.slice(2)
  let failed = false
  for (const name of Object.keys(TARGETS)) {
    for (const profile of ['rfc', 'safe'] as const) {
      if (wanted.length > 0 && !wanted.includes(`${name}:${profile}`) && !wanted.includes(name)) continue
      failed = !(await judge(dir, name, profile)) || failed
    }
  }
  process.exitCode = failed ? 1 : 0
}

async function judge(suiteDir: string, name: string, profile: HttpProfile): Promise<boolean> {
  const originPort = await freePort()
  const origin = await startOrigin(suiteDir, originPort)
  const target = await TARGETS[name]!(originPort, profile)
  try {
    const answers = await runClient(suiteDir, target.port)
    const score = await scoreOf(suiteDir, answers)
    mkdirSync(results, { recursive: true })
    const file = join(results, `${name}-${profile}.json`)
    writeFileSync(file, `${JSON.stringify(score, null, 2)}\n`)
    console.log(`${name} ${profile}: ${JSON.stringify(score.score)}`)
    for (const kind of ['required', 'optimal'] as const) {
      console.log(`  ${kind}: ${Object.keys(score.missed[kind]).join(' ')}`)
    }
    return profile === 'safe' || (score.score.required >= 158 && score.score.optimal >= 95)
  } finally {
    origin.kill()
    await target.close()
  }
}

async function startOrigin(suiteDir: string, port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['test-engine/server/server.mjs'], {
    cwd: suiteDir,
    env: {
      ...process.env,
      npm_config_protocol: 'http',
      npm_config_port: String(port),
      npm_config_pidfile: join(tmpdir(), `judge-origin-${port}.pid`),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk) => {
    out += String(chunk)
  })
  await until('the origin listens', () => out.includes('Listening'), 20_000)
  return child
}

async function runClient(suiteDir: string, port: number): Promise<Record<string, unknown>> {
  const child = spawn(process.execPath, ['--no-warnings', 'test-engine/cli.mjs'], {
    cwd: suiteDir,
    env: {
      ...process.env,
      npm_config_base: `http://127.0.0.1:${port}`,
      npm_config_id: '',
      npm_package_config_id: '',
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let out = ''
  child.stdout.on('data', (chunk) => {
    out += String(chunk)
  })
  await new Promise((resolve) => child.once('close', resolve))
  return JSON.parse(out.slice(out.indexOf('{'))) as Record<string, unknown>
}

async function scoreOf(suiteDir: string, answers: Record<string, unknown>) {
  const at = (path: string): string => pathToFileURL(join(suiteDir, path)).href
  const suites = ((await import(at('tests/index.mjs'))) as { default: Suite[] }).default
  const { determineTestResult } = (await import(at('test-engine/lib/results.mjs'))) as {
    determineTestResult(suites: Suite[], id: string, answers: object): readonly string[]
  }
  const passed = { required: 0, optimal: 0, check: 0 }
  const asked = { required: 0, optimal: 0, check: 0 }
  const missed: Record<Kind, Record<string, string>> = { required: {}, optimal: {}, check: {} }
  for (const test of suites.flatMap((suite) => suite.tests)) {
    if (test.browser_only) continue
    const kind = test.kind ?? 'required'
    asked[kind]++
    const mark = determineTestResult(suites, test.id, answers)[2]
    if (mark === '✅' || mark === 'Y') passed[kind]++
    else missed[kind][test.id] = reasonOf(answers[test.id])
  }
  return { score: { ...passed, of: asked }, missed }
}

/** Why the suite did not count a test, without the ids and times of one run. */
function reasonOf(answer: unknown): string {
  if (answer === true) return 'another test that it builds on was not passed'
  const text = Array.isArray(answer) ? answer.join(': ') : 'not run'
  return text.replace(/"[^"]*"/g, '"…"').slice(0, 200)
}
