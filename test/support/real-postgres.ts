/**
 * A PostgreSQL server of the machine's own, in a directory of its own on a free loopback port, for
 * proofs that need true concurrency. Undefined where none is installed.
 */
import { execFileSync, spawn } from 'node:child_process'
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

export interface RealPostgres {
  readonly url: string
  readonly version: string
  stop(): Promise<void>
}

const bin = findBin()

export const hasPostgres = bin !== undefined

/** @throws where `hasPostgres` is false, or it does not start */
export async function startRealPostgres(): Promise<RealPostgres> {
  if (bin === undefined) throw new Error('no PostgreSQL is installed')
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-pg-'))
  const data = join(dir, 'data')
  // PostgreSQL refuses to run as root.
  const as = process.getuid?.() === 0 ? idsOf('postgres') : undefined
  if (as) chownSync(dir, as.uid, as.gid)
  const quiet = { ...as, stdio: 'ignore' as const, cwd: dir }
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'test', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C'],
    quiet,
  )
  const port = await freePort()
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: dir,
    fsync: 'off',
    max_connections: 50,
  }
  const args = [
    '-D',
    data,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  const server = spawn(join(bin, 'postgres'), args, quiet)
  const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()))
  const end = () => server.kill('SIGQUIT')
  process.once('exit', end)
  const ready = () =>
    execFileSync(join(bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)], quiet) === null
  await until('PostgreSQL is up', () => ready(), 30_000, 50)
  return {
    url: `postgres://test@127.0.0.1:${port}/postgres`,
    version: execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' }).trim(),
    async stop() {
      process.off('exit', end)
      end()
      await gone
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function idsOf(user: string): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function findBin(): string | undefined {
  const versions = () => {
    try {
      return readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`)
    } catch {
      return []
    }
  }
  const folders = [...(process.env.PATH ?? '').split(':'), ...versions()]
  return folders.find((folder) =>
    ['initdb', 'postgres', 'pg_isready'].every((name) => {
      try {
        accessSync(join(folder, name), constants.X_OK)
        return true
      } catch {
        return false
      }
    }),
  )
}
