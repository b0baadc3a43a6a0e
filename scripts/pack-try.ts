/**
 * Installs the package as a stranger would: packed, into an empty project, without its optional peers.
 * There it runs the quick start of docs/1.start.md, imported and required, and the command line; then
 * it prints what the entrances cost a bundle. Needs `npm run build` first.
 *
 *   npm run pack:try                 this Node
 *   npm run pack:try -- --nodes      Node 22 and 24 too, from npm (60 MB each)
 *   npm run pack:try -- --audit      asks the registry for known holes in what is installed
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { entrySizes } from './entry-sizes.ts'

interface PackReport {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}
type Brought = Record<string, { readonly version?: string }>

const root = fileURLToPath(new URL('..', import.meta.url))
const flags = new Set(process.argv.slice(2))
const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
const OTHER_NODES = [22, 24]

if (!existsSync(join(root, 'dist/index.js'))) stop('dist/ is not built: run `npm run build` first')
const dir = mkdtempSync(join(tmpdir(), 'holdfast-try-'))
process.once('exit', () => rmSync(dir, { recursive: true, force: true }))

const pack = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', dir], root)
const [{ filename, size, unpackedSize, files }]: [PackReport] = JSON.parse(pack)
const strange = files.filter(({ path }) => /\.test\.|\.(?:png|jpe?g|webp|webm|log)$/.test(path))
if (strange.length > 0) stop(`does not belong into the package: ${strange[0]?.path}`)
if (!files.some(({ path }) => path === 'dist/dashboard/index.html')) stop('the package has no dashboard')
say(`${filename}: ${kb(size)} packed, ${kb(unpackedSize)} unpacked, ${files.length} files`)

const app = join(dir, 'app')
mkdirSync(app)
writeFileSync(join(app, 'package.json'), '{ "private": true }\n')
run('npm', ['install', join(dir, filename), ...QUIET, '--omit=peer'], app)
const installed: { dependencies: { holdfast: { dependencies?: Brought } } } = JSON.parse(
  run('npm', ['ls', '--all', '--json'], app),
)
const brought = Object.entries(installed.dependencies.holdfast.dependencies ?? {})
say(`brings ${brought.flatMap(([name, { version }]) => (version ? [`${name} ${version}`] : [])).join(', ')}`)

const quickStart = quickStartOf(readFileSync(join(root, 'docs/1.start.md'), 'utf8'))
writeFileSync(join(app, 'esm.mjs'), quickStart)
writeFileSync(join(app, 'cjs.cjs'), asCommonJs(quickStart))
tryWith(process.execPath, process.version)

if (flags.has('--nodes')) {
  for (const version of OTHER_NODES) {
    const name = `node-${process.platform}-${process.arch}@${version}`
    const place = join(dir, `node${version}`)
    mkdirSync(place)
    writeFileSync(join(place, 'package.json'), '{ "private": true }\n')
    const got = spawnSync('npm', ['install', name, ...QUIET], { cwd: place, encoding: 'utf8' })
    const binary = join(place, 'node_modules', name.slice(0, name.indexOf('@')), 'bin/node')
    if (got.status === 0 && existsSync(binary)) tryWith(binary, run(binary, ['--version'], app).trim())
    else say(`Node ${version} NOT tried: ${name} is not to be had here`)
  }
}

if (flags.has('--audit')) {
  const { status, stdout, stderr } = spawnSync('npm', ['audit', '--loglevel=warn'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (/audit endpoint returned an error/.test(stderr))
    say('npm audit: NOT asked, this registry has no such service')
  else if (status === 0) say(`npm audit: ${stdout.trim().split('\n').at(-1)}`)
  else stop(`npm audit:\n${stdout}`)
}

for (const { name, minified, gzipped } of await entrySizes(join(app, 'node_modules/holdfast'))) {
  say(`${name.padEnd(8)} ${kb(minified).padStart(8)} minified ${kb(gzipped).padStart(8)} gzipped`)
}

/** The program of the page that needs nothing else: the block about the cache alone. */
function quickStartOf(page: string): string {
  const blocks = [...page.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)
  return (
    blocks.find((code) => code.includes("from 'holdfast/cache'")) ??
    stop('docs/1.start.md has no quick start')
  )
}

function asCommonJs(code: string): string {
  const body = code.replace(/^import (\{.*?\}) from ('.*?')$/gm, 'const $1 = require($2)')
  return `void (async () => {\n${body}})()\n`
}

function tryWith(node: string, version: string): void {
  for (const file of ['esm.mjs', 'cjs.cjs']) {
    const said = run(node, [file], app).trim()
    if (said !== 'product tea loads here 1') stop(`${file} on ${version} said: ${said}`)
  }
  const cli = join(app, 'node_modules/.bin/holdfast')
  const help = run(node, [cli, '--help'], app)
  if (!help.includes('Usage: holdfast')) stop(`holdfast --help on ${version} said: ${help}`)
  const known = /^ {2}doctor\b/m.test(help)
  if (known) {
    const doctor = spawnSync(node, [cli, 'doctor', '--json'], { cwd: app, encoding: 'utf8', timeout: 30_000 })
    // 0 well, 1 something found: both are an answer. What it says depends on the machine.
    if (doctor.status !== 0 && doctor.status !== 1) {
      stop(`holdfast doctor on ${version} ended with ${doctor.status}: ${doctor.stderr}`)
    }
  }
  say(`${version}: import, require, holdfast --help${known ? ', holdfast doctor' : ''}`)
}

function run(command: string, args: readonly string[], cwd: string): string {
  const { REDIS_URL: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 120_000,
    env,
  })
  if (status !== 0) stop(`${command} ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

function kb(bytes: number): string {
  return `${(bytes / 1_024).toFixed(1)} KB`
}

function say(text: string): void {
  console.log(text)
}

function stop(text: string): never {
  console.error(text)
  process.exit(1)
}
