import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Figures } from './run.ts'

/** A change of one shipped file: `find` must stand in it exactly once. */
export interface Patch {
  /** Below `src/`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

const HERE = fileURLToPath(new URL('.', import.meta.url))
const SRC = fileURLToPath(new URL('../../src/', import.meta.url))

let directory: string | undefined
let count = 0

/**
 * The simulator with the shipped client in one file for plain node: starts in a blink, runs at full
 * speed, and lets a rule be switched off without touching the source.
 * @throws when a patch does not fit exactly once: then the table of mutants has to follow the code
 */
export async function bundle(patches: readonly Patch[] = []): Promise<string> {
  if (directory === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'holdfast-sim-'))
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    directory = made
  }
  const outfile = join(directory, `sim-${count++}.mjs`)
  const used = new Set<Patch>()
  await build({
    entryPoints: [join(HERE, 'run.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['redis', 'ioredis', 'msgpackr', '@redis/*'],
    logLevel: 'silent',
    plugins: [
      {
        name: 'patches',
        setup({ onLoad }) {
          onLoad({ filter: /\.ts$/ }, async ({ path }) => {
            const mine = patches.filter((patch) => join(SRC, patch.file) === path)
            if (mine.length === 0) return undefined
            let contents = await readFile(path, 'utf8')
            for (const patch of mine) {
              const times = contents.split(patch.find).length - 1
              if (times !== 1) throw new Error(`${patch.file} holds ${times} times: ${patch.find}`)
              contents = contents.replace(patch.find, () => patch.replace)
              used.add(patch)
            }
            return { contents, loader: 'ts' }
          })
        },
      },
    ],
  })
  for (const patch of patches)
    if (!used.has(patch)) throw new Error(`${patch.file} is not part of the simulator`)
  return outfile
}

/** Runs a bundle in a process of its own. */
export function runBundle(file: string, args: readonly string[], timeoutMs: number): Promise<Figures> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [file, '--json', ...args],
      { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        // Exit code 1 means violations, and they are in the figures.
        const line = stdout.trim().split('\n').at(-1)
        if (line?.startsWith('{')) resolve(JSON.parse(line) as Figures)
        else reject(new Error(`the simulator died: ${error?.message ?? ''} ${stderr.slice(0, 2_000)}`))
      },
    )
  })
}
