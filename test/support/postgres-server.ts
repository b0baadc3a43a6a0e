/**
 * Real PostgreSQL servers for tests: own temp dir, own loopback port, no password, nothing kept.
 *
 *   const postgres = await startPostgres()                 // { port, url, … }
 *   await postgres.kill(); await postgres.restart()        // crash, recovery, and the same port again
 *   postgres.pause(); postgres.resume()                    // SIGSTOP: accepts connections, never answers
 *   await postgres.stop()                                  // for good, temp dir removed
 *
 * PostgreSQL refuses to run as root: then it runs as the user `postgres`, or `nobody`. Where there
 * are no binaries, `postgresMissing()` says so and tests skip. HOLDFAST_POSTGRES_BIN names their
 * directory; else it is asked of pg_config, and looked for in the usual places.
 *
 * No server outlives its test process: a small shell holds the read end of a pipe from us.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { Client } from 'pg'
import { freePort } from './free-port.ts'

export interface PostgresServer {
  readonly port: number
  /** `postgres://holdfast@127.0.0.1:…/postgres` */
  readonly url: string
  readonly alive: boolean
  /** SIGKILL of the server and all it started; resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same port, with its data; stops it first if it runs. */
  restart(): Promise<void>
  /** Freezes it with all it started: the kernel still accepts connections, nobody answers. */
  pause(): void
  resume(): void
  /** One statement on a connection of its own. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  log(): string
  stop(): Promise<void>
}

export interface PostgresOptions {
  /** `-c name=value`. Durable by default only as far as a killed process needs: fsync is off. */
  readonly config?: Readonly<Record<string, string | number>>
}

const START_DEADLINE_MS = 60_000
const GUARD = `
dir=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >>"$dir/server.log" 2>&1 &
server=$!
echo $server
( cat <&3; : >"$dir/orphan"; kill -9 $(pgrep -P $server) $server ) >/dev/null 2>&1 &
watch=$!
wait $server; code=$?
kill $watch 2>/dev/null
[ -e "$dir/orphan" ] && { sleep 1; rm -rf "$dir"; }
exit $code
`
const running = new Set<Instance>()
let hooked = false

/** Why tests cannot have a real PostgreSQL here; undefined where they can. */
export function postgresMissing(): string | undefined {
  if (!binaries()) return 'no PostgreSQL here: install its server, or set HOLDFAST_POSTGRES_BIN'
  return isRoot() && !unprivileged()
    ? 'PostgreSQL refuses to run as root, and there is no other user'
    : undefined
}

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const missing = postgresMissing()
  if (missing !== undefined) throw new Error(missing)
  if (!hooked) {
    hooked = true
    process.on('exit', () => {
      for (const server of running) server.killNow()
      for (const server of running) rmSync(server.dir, { recursive: true, force: true, maxRetries: 5 })
    })
  }
  const server = new Instance(options, await freePort())
  try {
    server.init()
    await server.start()
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

class Instance implements PostgresServer {
  readonly port: number
  readonly url: string
  readonly dir: string
  readonly #config: Readonly<Record<string, string | number>>
  readonly #bin: string
  readonly #user: { uid?: number; gid?: number }
  #guard: ChildProcess | undefined
  #gone: Promise<void> = Promise.resolve()
  #pid = 0

  constructor(options: PostgresOptions, port: number) {
    this.port = port
    this.url = `postgres://holdfast@127.0.0.1:${port}/postgres`
    this.#config = options.config ?? {}
    this.#bin = binaries() ?? ''
    this.#user = (isRoot() && unprivileged()) || {}
    this.dir = mkdtempSync(join(tmpdir(), 'holdfast-postgres-'))
    if (this.#user.uid !== undefined) chownSync(this.dir, this.#user.uid, this.#user.gid ?? this.#user.uid)
    running.add(this)
  }

  get alive(): boolean {
    return this.#guard !== undefined
  }

  init(): void {
    execFileSync(
      join(this.#bin, 'initdb'),
      [
        ...['-D', join(this.dir, 'data'), '-U', 'holdfast', '-A', 'trust', '-E', 'UTF8'],
        ...['--locale=C', '--no-sync'],
      ],
      { ...this.#user, cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'], env: this.#env() },
    )
  }

  async start(): Promise<void> {
    const config = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: 60,
      shared_buffers: '32MB',
      fsync: 'off',
      ...this.#config,
    }
    const command = [
      join(this.#bin, 'postgres'),
      ...['-D', join(this.dir, 'data'), '-p', String(this.port)],
      ...Object.entries(config).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ]
    const guard = spawn('/bin/sh', ['-c', GUARD, 'postgres-guard', this.dir, ...command], {
      ...this.#user,
      cwd: this.dir,
      env: this.#env(),
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    })
    for (const pipe of [guard.stdin, guard.stdout]) if (pipe instanceof Socket) pipe.unref()
    guard.stdin.on('error', () => {})
    this.#guard = guard
    this.#gone = new Promise((resolve) => {
      const ended = () => {
        if (this.#guard === guard) this.#guard = undefined
        resolve()
      }
      guard.once('exit', ended)
      guard.once('error', ended)
    })
    this.#pid = await new Promise<number>((resolve, reject) => {
      guard.stdout.once('data', (line) => resolve(Number(String(line).trim())))
      guard.once('exit', () => reject(new Error('the guard shell ended before it started postgres')))
      guard.once('error', reject)
    })
    await this.#untilReady()
    guard.unref()
  }

  async kill(): Promise<void> {
    this.#guard?.ref()
    this.killNow()
    await this.#gone
  }

  async restart(): Promise<void> {
    await this.kill()
    // What a killed server leaves behind is in use until the last of its processes has noticed.
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.start()
      } catch (error) {
        await this.kill()
        if (attempt === 10) throw error
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
  }

  pause(): void {
    for (const pid of [this.#pid, ...this.#children()]) signal(pid, 'SIGSTOP')
  }

  resume(): void {
    for (const pid of [this.#pid, ...this.#children()]) signal(pid, 'SIGCONT')
  }

  async query(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.url })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query(text, [...values])).rows
    } finally {
      await client.end()
    }
  }

  log(): string {
    try {
      return readFileSync(join(this.dir, 'server.log'), 'utf8').slice(-20_000)
    } catch {
      return ''
    }
  }

  async stop(): Promise<void> {
    running.delete(this)
    await this.kill()
    await rm(this.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  killNow(): void {
    if (!this.#guard || !this.#pid) return
    const children = this.#children()
    signal(this.#pid, 'SIGKILL')
    for (const pid of children) signal(pid, 'SIGKILL')
  }

  #children(): number[] {
    const { stdout } = spawnSync('pgrep', ['-P', String(this.#pid)], { encoding: 'utf8' })
    return (stdout ?? '').split('\n').filter(Boolean).map(Number)
  }

  /** Nothing of ours that could point it at another server. */
  #env(): Record<string, string> {
    return { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' }
  }

  async #untilReady(): Promise<void> {
    const end = Date.now() + START_DEADLINE_MS
    let last: unknown
    while (Date.now() < end) {
      if (!this.alive) throw new Error(`postgres ended at start:\n${this.log()}`)
      try {
        const [row] = await this.query("SELECT current_setting('data_directory') AS dir")
        if (row?.dir === join(this.dir, 'data')) return
        last = new Error('another server answers on the port')
      } catch (error) {
        last = error
      }
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    throw new Error(`postgres did not answer on port ${this.port}:\n${this.log()}`, { cause: last })
  }
}

let known: string | false | undefined

/** The directory of initdb and postgres. */
function binaries(): string | undefined {
  known ??=
    candidates().find((dir) => ['initdb', 'postgres'].every((name) => existsSync(join(dir, name)))) ?? false
  return known || undefined
}

function candidates(): string[] {
  const asked = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  const packaged = ['/usr/lib/postgresql', '/usr/local/pgsql', '/opt/homebrew/opt'].flatMap((root) =>
    existsSync(root) ? readdirSync(root).map((name) => join(root, name, 'bin')) : [],
  )
  // The newest of several.
  packaged.sort((a, b) => Number.parseFloat(version(b)) - Number.parseFloat(version(a)))
  return [
    process.env.HOLDFAST_POSTGRES_BIN ?? '',
    asked.status === 0 ? asked.stdout.trim() : '',
    ...packaged,
    ...(process.env.PATH ?? '').split(delimiter),
  ].filter(Boolean)
}

const version = (bin: string): string => /(\d+(?:\.\d+)?)$/.exec(dirname(bin))?.[1] ?? '0'

const isRoot = (): boolean => process.getuid?.() === 0

function unprivileged(): { uid: number; gid: number } | undefined {
  for (const name of ['postgres', 'nobody']) {
    const ask = (flag: string) => spawnSync('id', [flag, name], { encoding: 'utf8' })
    const [uid, gid] = [ask('-u'), ask('-g')]
    if (uid.status === 0 && gid.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  }
  return undefined
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Already gone.
  }
}
