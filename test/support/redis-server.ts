/**
 * Real redis-servers for tests: own temp dir, own loopback port, nothing persisted unless asked.
 *
 *   const redis = await startRedis()                        // { port, url, pid, dir, … }
 *   await redis.cli('SET', 'a', '1')                        // one command, own short connection
 *   redis.pause(); redis.resume()                           // SIGSTOP: accepts connections, never answers
 *   await redis.kill(); await redis.restart()               // crash, and the same port again
 *   await redis.stop()                                      // for good, temp dir removed
 *
 * No server outlives its test process: each runs under a small shell that holds the read end of a
 * pipe from us, and that kills it with -9 and removes its directory when the pipe closes, for
 * whatever cause, a SIGKILL of the vitest worker included.
 *
 * HOLDFAST_REDIS_SERVER names another binary (Valkey, another version).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { connectResp, type RespClient, type RespReply } from './resp.ts'
import { makeCerts } from './tls-certs.ts'

export interface RedisServerOptions {
  /** TLS only, no plain port. `'mutual'` asks for a client certificate too. */
  readonly tls?: boolean | 'mutual'
  /** ACL users, e.g. `'app on >secret ~hf:* &hf:* +@all'`. Keep the default user: the harness uses it. */
  readonly acl?: readonly string[]
  /** More lines of redis.conf, as a record or verbatim: `{ maxmemory: '8mb' }` or `['maxmemory 8mb']`. */
  readonly config?: Readonly<Record<string, string | number>> | readonly string[]
  /** Append-only file. `true` = everysec. */
  readonly aof?: boolean | 'always' | 'everysec'
  /** Password of the default user. */
  readonly password?: string
  readonly port?: number
  /** KEYS, CONFIG, FLUSHALL and FLUSHDB do not exist, as on many managed servers. */
  readonly renamed?: true
  /** Runs it as a sentinel. `config` then holds the `sentinel …` lines. */
  readonly sentinel?: true
}

export interface RedisServer {
  readonly port: number
  /** `redis://` or `rediss://`, with the password if there is one. */
  readonly url: string
  /** Of the running server; changes on restart. */
  readonly pid: number
  readonly dir: string
  /** What a client needs to speak TLS with it; undefined on a plain server. */
  readonly tls: { readonly ca: string; readonly cert?: string; readonly key?: string } | undefined
  readonly alive: boolean
  /** Freezes the process: the kernel still accepts connections, nobody answers. */
  pause(): void
  resume(): void
  /** SIGKILL, paused or not; resolves when it is gone. */
  kill(): Promise<void>
  /**
   * Stops it if it runs and starts it on the same port. `keepData`: it comes back with what it had
   * (default with an append-only file); else it comes back empty.
   */
  restart(options?: { keepData?: boolean }): Promise<void>
  /** One command on a connection of its own. Server errors reject. */
  cli(...args: (string | number | Buffer)[]): Promise<RespReply>
  /** A raw connection of the harness, as the default user or as another. Close it yourself. */
  connect(as?: { username: string; password: string }): Promise<RespClient>
  log(): string
  stop(): Promise<void>
}

const GUARD = `
dir=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >"$dir/stdout.log" 2>&1 &
server=$!
echo $server
( cat <&3; rm -rf "$dir"; kill -9 $server ) >/dev/null 2>&1 &
watch=$!
wait $server; code=$?
kill $watch 2>/dev/null
[ -e "$dir/redis.conf" ] || rm -rf "$dir"
exit $code
`
const START_DEADLINE_MS = 15_000
const running = new Set<Instance>()
let hooked = false

export const redisBinary = (): string => process.env.HOLDFAST_REDIS_SERVER || 'redis-server'

/** Starts a server and resolves when it answers. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  hookExit()
  for (let attempt = 1; ; attempt++) {
    const server = new Instance(options, options.port ?? (await freePort()))
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop()
      // Two workers may pick one port at the same moment; a fixed port is the caller's choice.
      if (attempt >= 4 || options.port !== undefined) throw error
    }
  }
}

/** Ends every server that this process started. Called on exit; tests may call it in `afterAll`. */
export async function stopAllRedis(): Promise<void> {
  await Promise.all([...running].map((server) => server.stop()))
}

class Instance implements RedisServer {
  readonly port: number
  readonly dir: string
  readonly url: string
  readonly tls: RedisServer['tls']
  pid = 0
  readonly #options: RedisServerOptions
  #guard: ChildProcess | undefined
  #gone: Promise<void> = Promise.resolve()

  constructor(options: RedisServerOptions, port: number) {
    this.#options = options
    this.port = port
    this.dir = mkdtempSync(join(tmpdir(), 'holdfast-redis-'))
    const secret = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`
    this.url = `${options.tls ? 'rediss' : 'redis'}://${secret}127.0.0.1:${port}`
    if (options.tls) {
      const certs = makeCerts()
      const own = options.tls === 'mutual'
      this.tls = own ? { ca: certs.ca, ...certs.client } : { ca: certs.ca }
    }
    running.add(this)
  }

  get alive(): boolean {
    return this.#guard !== undefined
  }

  async start(): Promise<void> {
    writeFileSync(join(this.dir, 'redis.conf'), `${this.#configLines().join('\n')}\n`, { mode: 0o600 })
    const command = [
      redisBinary(),
      join(this.dir, 'redis.conf'),
      ...(this.#options.sentinel ? ['--sentinel'] : []),
    ]
    const guard = spawn('/bin/sh', ['-c', GUARD, 'redis-guard', this.dir, ...command], {
      stdio: ['pipe', 'pipe', 'ignore'],
      // Its own process group: a Ctrl-C reaches the tests, and the tests end the server.
      detached: true,
    })
    // A server alone keeps no program running that forgot to stop it (see also unref below).
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
    this.pid = await new Promise<number>((resolve, reject) => {
      guard.stdout.once('data', (line) => resolve(Number(String(line).trim())))
      guard.once('exit', () => reject(new Error('the guard shell ended before it started redis-server')))
      guard.once('error', reject)
    })
    await this.#untilReady()
    guard.unref()
  }

  pause(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  async kill(): Promise<void> {
    this.#guard?.ref()
    this.killNow()
    await this.#gone
  }

  async restart(options: { keepData?: boolean } = {}): Promise<void> {
    const keep = options.keepData ?? Boolean(this.#options.aof)
    if (this.alive) {
      this.#guard?.ref()
      this.resume()
      if (keep && !this.#options.aof) await this.cli('SAVE')
      process.kill(this.pid, 'SIGTERM')
      const late = setTimeout(() => this.killNow(), 5_000)
      await this.#gone
      clearTimeout(late)
    }
    if (!keep) {
      await rm(this.dir, { recursive: true, force: true })
      await mkdir(this.dir)
    }
    await this.start()
  }

  async cli(...args: (string | number | Buffer)[]): Promise<RespReply> {
    const probe = await this.connect()
    try {
      return await probe.send(...args)
    } finally {
      probe.close()
    }
  }

  connect(as?: { username: string; password: string }): Promise<RespClient> {
    const { password } = this.#options
    return connectResp({ port: this.port, tls: this.tls, ...(as ?? { password }) })
  }

  log(): string {
    try {
      return readFileSync(join(this.dir, 'stdout.log'), 'utf8')
    } catch {
      return ''
    }
  }

  async stop(): Promise<void> {
    running.delete(this)
    await this.kill()
    await rm(this.dir, { recursive: true, force: true })
  }

  /** Synchronous, for exit hooks. The guard stays: it sees the server go, and goes too. */
  killNow(): void {
    if (!this.#guard || !this.pid) return
    try {
      process.kill(this.pid, 'SIGKILL')
    } catch {
      // Already gone.
    }
  }

  #configLines(): string[] {
    const { tls, acl = [], config = [], aof, password, renamed, sentinel } = this.#options
    if (tls) {
      const { ca, server } = makeCerts()
      for (const [name, text] of [
        ['ca.crt', ca],
        ['server.crt', server.cert],
        ['server.key', server.key],
      ] as const) {
        writeFileSync(join(this.dir, name), text, { mode: 0o600 })
      }
    }
    return [
      'bind 127.0.0.1',
      'daemonize no',
      `dir "${this.dir}"`,
      'loglevel notice',
      'repl-diskless-sync-delay 0',
      ...(sentinel ? [] : ['save ""', 'enable-debug-command local']),
      ...(tls
        ? [
            'port 0',
            `tls-port ${this.port}`,
            `tls-cert-file "${this.dir}/server.crt"`,
            `tls-key-file "${this.dir}/server.key"`,
            `tls-ca-cert-file "${this.dir}/ca.crt"`,
            `tls-auth-clients ${tls === 'mutual' ? 'yes' : 'no'}`,
          ]
        : [`port ${this.port}`]),
      ...(aof ? ['appendonly yes', `appendfsync ${aof === true ? 'everysec' : aof}`] : []),
      ...(password === undefined ? [] : [`requirepass "${password}"`]),
      ...acl.map((user) => `user ${user}`),
      ...(renamed
        ? ['KEYS', 'CONFIG', 'FLUSHALL', 'FLUSHDB'].map((name) => `rename-command ${name} ""`)
        : []),
      ...configLines(config),
    ]
  }

  async #untilReady(): Promise<void> {
    const end = Date.now() + START_DEADLINE_MS
    let last: unknown
    while (Date.now() < end) {
      if (!this.alive) throw new Error(`redis-server ended at start:\n${this.log()}`)
      try {
        // The process id tells our server from a stranger that holds the port. INFO answers while an
        // append-only file still loads, and every other command would then be refused.
        const info = String(await this.cli('INFO'))
        if (!info.includes(`process_id:${this.pid}\r`))
          last = new Error(`another server answers on port ${this.port}`)
        else if (info.includes('\nloading:1')) last = new Error('the server still loads its data')
        else return
      } catch (error) {
        last = error
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error(`redis-server did not answer on port ${this.port}:\n${this.log()}`, { cause: last })
  }
}

/** The `config` option as lines of redis.conf. */
export function configLines(config: RedisServerOptions['config'] = []): readonly string[] {
  return isLines(config) ? config : Object.entries(config).map(([name, value]) => `${name} ${value}`)
}

function isLines(config: NonNullable<RedisServerOptions['config']>): config is readonly string[] {
  return Array.isArray(config)
}

function hookExit(): void {
  if (hooked) return
  hooked = true
  process.on('exit', () => {
    for (const server of running) {
      server.killNow()
      rmSync(server.dir, { recursive: true, force: true })
    }
  })
}
