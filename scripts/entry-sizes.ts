/** What the entrances cost a bundle: minified and gzipped, dependencies included, optional peers not. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const ENTRANCES = ['.', './cache', './limit']

interface Manifest {
  readonly exports: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

export interface EntrySize {
  readonly name: string
  /** Bytes. */
  readonly minified: number
  readonly gzipped: number
}

/** @param folder of the installed package */
export async function entrySizes(folder: string): Promise<EntrySize[]> {
  const { exports, peerDependencies }: Manifest = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  )
  return await Promise.all(
    ENTRANCES.map(async (name) => {
      const { outputFiles } = await build({
        entryPoints: [join(folder, exports[name] ?? '')],
        bundle: true,
        minify: true,
        write: false,
        platform: 'node',
        format: 'esm',
        // Loaded when they are used, and the choice of who uses them.
        external: [...Object.keys(peerDependencies), '@redis/client', 'msgpackr', 'pg'],
        logLevel: 'error',
      })
      const contents = outputFiles[0]?.contents ?? new Uint8Array()
      return { name, minified: contents.length, gzipped: gzipSync(contents).length }
    }),
  )
}
