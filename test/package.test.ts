import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entrySizes } from '../scripts/entry-sizes.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const manifest: {
  exports: Record<string, string>
  bin: Record<string, string>
  scripts: Record<string, string>
  dependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

let dir: string
let staged: string
let packed: string[]
let tarball: string

/** Builds into a copy, so that a `dist/` that somebody works with stays as it is. */
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-pack-'))
  staged = join(dir, 'package')
  mkdirSync(staged)
  for (const name of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'src', 'test']) {
    cpSync(join(root, name), join(staged, name), { recursive: true })
  }
  const tsc = join(root, 'node_modules/.bin/tsc')
  await run(tsc, ['-p', 'tsconfig.build.json', '--outDir', join(staged, 'dist')], { cwd: root })
  await run(
    process.execPath,
    [
      join(root, 'node_modules/vite/bin/vite.js'),
      'build',
      'dashboard',
      '--outDir',
      join(staged, 'dist/dashboard'),
    ],
    { cwd: root },
  )
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts'], { cwd: staged })
  const [report] = JSON.parse(stdout)
  packed = report.files.map((file: { path: string }) => file.path)
  tarball = join(staged, report.filename)
}, 180_000)
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('the package', () => {
  it('exports exactly the folders of src that have an index.ts', () => {
    const paths = Object.entries(manifest.exports).filter(([name]) => name !== './package.json')
    for (const [name, target] of paths) {
      const folder = name === '.' ? '' : `${name.slice(2)}/`
      expect(target).toBe(`./dist/${folder}index.js`)
      expect(existsSync(join(root, 'src', folder, 'index.ts')), `src/${folder}index.ts`).toBe(true)
    }
    const indexes = packed.filter((path) => /^src\/(?:[^/]+\/)?index\.ts$/.test(path))
    expect(indexes.map((path) => path.replace(/^src/, './dist').replace(/\.ts$/, '.js')).sort()).toEqual(
      paths.map(([, target]) => target).sort(),
    )
  })

  it('holds what it runs, its sources, its licence, and nothing else', () => {
    expect(packed).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'CHANGELOG.md', 'package.json']))
    expect(packed).toEqual(expect.arrayContaining(['dist/index.js', 'dist/index.d.ts', 'src/index.ts']))
    for (const target of Object.values(manifest.bin)) expect(packed).toContain(target.replace(/^\.\//, ''))
    const strange = packed.filter(
      (path) => !/^(?:dist|src)\/|^(?:README|CHANGELOG)\.md$|^LICENSE$|^package\.json$/.test(path),
    )
    expect(strange).toEqual([])
    expect(packed.filter((path) => /\.test\.|(?:^|\/)(?:test|fixtures)\//.test(path))).toEqual([])
  })

  it('holds the dashboard, which asks no other host for anything', () => {
    const page = packed.filter((path) => path.startsWith('dist/dashboard/'))
    expect(page.map((path) => path.replace(/-[\w-]{8}\./, '-HASH.')).sort()).toEqual([
      'dist/dashboard/assets/index-HASH.js',
      'dist/dashboard/assets/style-HASH.css',
      'dist/dashboard/favicon.svg',
      'dist/dashboard/index.html',
    ])
    const html = readFileSync(join(staged, 'dist/dashboard/index.html'), 'utf8')
    expect(html).not.toMatch(/https?:|<style|<script(?![^>]*\bsrc=)|\son\w+=/)
    const style = page.find((path) => path.endsWith('.css'))!
    expect(readFileSync(join(staged, style), 'utf8')).not.toMatch(/url\(|@import/)
    const script = page.find((path) => path.endsWith('.js'))!
    expect(gzipSync(readFileSync(join(staged, script))).length).toBeLessThan(60_000)
  })

  it('[S0-28] runs no install scripts, and leaves the choice of a Redis client to its user', () => {
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(manifest.scripts).not.toHaveProperty(name)
    }
    for (const name of ['redis', 'ioredis']) {
      expect(manifest.dependencies ?? {}).not.toHaveProperty(name)
      expect(manifest.peerDependencies).toHaveProperty(name)
      expect(manifest.peerDependenciesMeta?.[name]?.optional).toBe(true)
    }
  })

  it('[S0-28, S1-14] installs into an empty folder and caches there, imported and required', async () => {
    const app = join(dir, 'app')
    mkdirSync(app)
    writeFileSync(join(app, 'package.json'), '{ "private": true }')
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--omit=peer']
    await run('npm', ['install', tarball, ...quiet], { cwd: app })
    expect(existsSync(join(app, 'node_modules/redis'))).toBe(false)

    const use = `
      const hf = holdfast()
      let loads = 0
      const load = async () => ({ n: ++loads })
      await hf.cache.getOrSet('k', load)
      const { n } = await hf.cache.getOrSet('k', load)
      await hf.close()
      console.log(n === 1 && loads === 1 ? 'cached' : 'not cached')`
    writeFileSync(join(app, 'esm.mjs'), `import { holdfast } from 'holdfast'\n${use}`)
    writeFileSync(
      join(app, 'cjs.cjs'),
      `const { holdfast } = require('holdfast')\nvoid (async () => {${use}\n})()`,
    )
    for (const file of ['esm.mjs', 'cjs.cjs']) {
      const { stdout } = await run(process.execPath, [file], { cwd: app })
      expect(stdout.trim()).toBe('cached')
    }
  }, 180_000)

  it('costs a bundle no more than it did, and less for one piece alone', async () => {
    const sizes = await entrySizes(join(dir, 'app/node_modules/holdfast'))
    const most: Record<string, number> = { '.': 150, './cache': 45, './limit': 26 } // KB, gzipped
    const over = sizes.filter(({ name, gzipped }) => gzipped > (most[name] ?? 0) * 1_024)
    expect(over.map(({ name, gzipped }) => `${name} ${(gzipped / 1_024).toFixed(1)} KB`)).toEqual([])
    expect(sizes.map(({ name }) => name)).toEqual(Object.keys(most))
  })
})
