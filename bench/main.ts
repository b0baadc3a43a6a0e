/**
 * `npm run bench [cache limits locks sessions queue]`: every contestant in the same run, Markdown to the
 * screen and to its section of bench/results.md. The peers are a package of their own, installed on first use.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
if (!existsSync(`${here}node_modules`)) {
  console.log('Installing the peers that are measured beside Holdfast …')
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here, stdio: 'inherit' })
}

const BENCHES: Record<string, () => Promise<string>> = {
  cache: async () => (await import('./cache.ts')).benchCache(),
  locks: async () => (await import('./locks.ts')).benchLocks(),
  limits: async () => (await import('./scripted.ts')).benchLimits(),
  sessions: async () => (await import('./scripted.ts')).benchSessions(),
  http: async () => (await import('./http.ts')).benchHttp(),
  queue: async () => (await import('./queue.ts')).benchQueue(),
  outbound: async () => (await import('./outbound.ts')).benchOutbound(),
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in BENCHES))
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}.`)
  process.exit(2)
}

function versions(): string {
  const manifest = JSON.parse(readFileSync(`${here}package.json`, 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Object.keys(manifest.dependencies)
    .map((name) => {
      const installed = JSON.parse(readFileSync(`${here}node_modules/${name}/package.json`, 'utf8')) as {
        version: string
      }
      return `${name} ${installed.version}`
    })
    .join(' · ')
}

const server = execFileSync(process.env.HOLDFAST_REDIS_SERVER ?? 'redis-server', ['--version'], {
  encoding: 'utf8',
})
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`
const place = `${new Date().toISOString().slice(0, 10)} · Node ${process.versions.node} · ${/v=\S+/.exec(server)?.[0] ?? ''} on loopback · ${machine}`
const head = [
  '# Measured',
  '',
  versions(),
  '',
  'Each table is one run with all contestants in turns; figures are medians. Trust the ratios, not the values. `npm run bench` makes all sections anew, `npm run bench sessions` that one.',
].join('\n')

const file = `${here}results.md`
for (const [name, bench] of Object.entries(BENCHES)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const section = `## ${name}\n\n${place}\n\n${(await bench()).trim()}`
  console.log(section)
  // Read anew and written after each: what another run measured meanwhile stays, and so does what this
  // one measured when a later bench fails.
  const sections = readSections(existsSync(file) ? readFileSync(file, 'utf8') : '')
  sections.set(name, section)
  writeFileSync(file, `${[head, ...inOrder(sections)].join('\n\n')}\n`)
}
process.exit(0)

/** The sections of an earlier run, by name: those that are not measured now stay as they are. */
function readSections(text: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const part of text.split(/^(?=## )/m)) {
    const name = /^## (.+)$/m.exec(part)?.[1]
    if (part.startsWith('## ') && name !== undefined) found.set(name.trim(), part.trim())
  }
  return found
}

function inOrder(found: ReadonlyMap<string, string>): string[] {
  const known = Object.keys(BENCHES)
  const place = (name: string) => known.indexOf(name) + 1 || known.length + 1
  return [...found].sort(([a], [b]) => place(a) - place(b)).map(([, section]) => section)
}
