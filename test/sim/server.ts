import { COMMANDS } from './redis/commands.ts'
import { Keyspace, type Snapshot } from './redis/keyspace.ts'
import { OK, ServerError, type ServerReply, Status } from './redis/reply.ts'
import { compileScript, runScript, type ScriptCall, sha1 } from './redis/script-host.ts'

export interface ServerEnvironment {
  /** Server wall clock in ms, with fractions. */
  now(): number
  /** `n` hexadecimal characters of seeded randomness. */
  hex(n: number): string
}

/** One connection as the server sees it. */
export interface Peer {
  push(channel: string, message: string): void
}

interface ScriptRun {
  dirty: boolean
  readonly outOfMemory: boolean
}

const COMMANDS_WITHOUT_DATA = new Set([
  'PING',
  'INFO',
  'CLIENT',
  'HELLO',
  'CONFIG',
  'COMMAND',
  'ROLE',
  'SELECT',
  'AUTH',
])

/**
 * A Redis server of one process, one key space and no sockets: commands in, replies out, each
 * command and script atomic. Replies, errors and the rules at maxmemory follow Redis 7.0; the
 * differential test holds it against a real one.
 */
export class FakeServer {
  readonly address: string
  readonly keys: Keyspace
  runId: string
  replid: string
  role: 'master' | 'slave' = 'master'
  loading = false
  /** At maxmemory with nothing to evict: commands that may grow are refused. */
  full = false
  /** The last background save failed: all writes are refused. */
  misconf = false
  commands = 0
  scripts = 0

  readonly #environment: ServerEnvironment
  readonly #scripts = new Map<string, string>()
  readonly #subscribers = new Map<string, Set<Peer>>()
  #now = 0
  #run: ScriptRun | undefined
  readonly #call: ScriptCall

  constructor(address: string, environment: ServerEnvironment) {
    this.address = address
    this.#environment = environment
    this.keys = new Keyspace(() => this.#now || Math.floor(environment.now()))
    this.runId = environment.hex(40)
    this.replid = environment.hex(40)
    this.#call = (args) => {
      const reply = this.#dispatch(args, this.#run)
      if (reply instanceof ServerError) throw reply
      return reply
    }
  }

  /** Runs one command. Arguments and bulk replies hold one character per byte. */
  execute(args: readonly string[]): ServerReply {
    this.commands++
    // Time stands still while a command or a script runs, as it does in Redis.
    this.#now = Math.floor(this.#environment.now())
    try {
      return this.#dispatch(args, undefined)
    } catch (error) {
      if (error instanceof ServerError) return error
      throw error
    } finally {
      this.#now = 0
    }
  }

  subscribe(peer: Peer, channel: string): void {
    const peers = this.#subscribers.get(channel) ?? new Set()
    this.#subscribers.set(channel, peers.add(peer))
  }

  unsubscribe(peer: Peer, channel?: string): void {
    for (const [name, peers] of this.#subscribers)
      if (channel === undefined || channel === name) peers.delete(peer)
  }

  /** A new process with the data of an older moment. */
  restart(snapshot: Snapshot | undefined): void {
    if (snapshot) this.keys.restore(snapshot)
    else this.keys.clear()
    this.#scripts.clear()
    this.#subscribers.clear()
    this.runId = this.#environment.hex(40)
    this.replid = this.#environment.hex(40)
    this.loading = false
  }

  /** REPLICAOF NO ONE: same process, same data, another replication id. */
  promote(): void {
    this.role = 'master'
    this.replid = this.#environment.hex(40)
  }

  /** REPLICAOF: read-only from now on. Data and id follow with the synchronisation. */
  demote(): void {
    this.role = 'slave'
  }

  /** A full synchronisation from `master`, as far as that was `snapshot`. */
  follow(master: FakeServer, snapshot: Snapshot): void {
    this.role = 'slave'
    this.replid = master.replid
    this.keys.restore(snapshot)
  }

  flushScripts(): void {
    this.#scripts.clear()
  }

  #dispatch(args: readonly string[], run: ScriptRun | undefined): ServerReply {
    const name = args[0]!.toUpperCase()
    const command = COMMANDS[name]
    if (this.loading && !COMMANDS_WITHOUT_DATA.has(name)) {
      return new ServerError('LOADING Redis is loading the dataset in memory')
    }
    if (!command) return this.#control(name, args, run)
    if (command.arity > 0 ? args.length !== command.arity : args.length < -command.arity) {
      return new ServerError(
        run
          ? 'ERR Wrong number of args calling Redis command from script'
          : `ERR wrong number of arguments for '${name.toLowerCase()}' command`,
      )
    }
    if (command.write) {
      if (this.role === 'slave')
        return new ServerError("READONLY You can't write against a read only replica.")
      if (this.misconf) {
        return new ServerError(
          'MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.',
        )
      }
    }
    // A script that has written already must be let through, else it would stop half way.
    if (command.denyOom && (run ? run.outOfMemory && !run.dirty : this.full)) {
      return new ServerError("OOM command not allowed when used memory > 'maxmemory'.")
    }
    if (run && command.write) run.dirty = true
    return command.run(this.keys, args, this.#now)
  }

  #control(name: string, args: readonly string[], run: ScriptRun | undefined): ServerReply {
    switch (name) {
      case 'TIME': {
        const now = run ? this.#now : this.#environment.now()
        const seconds = Math.floor(now / 1_000)
        return [String(seconds), String(Math.floor((now - seconds * 1_000) * 1_000))]
      }
      case 'PUBLISH':
        return this.#publish(args[1]!, args[2]!)
      case 'PING':
        return args[1] ?? new Status('PONG')
      case 'ECHO':
        return args[1]!
    }
    if (run) return new ServerError('ERR This Redis command is not allowed from script')
    switch (name) {
      case 'EVAL':
      case 'EVALSHA':
        return this.#eval(name, args)
      case 'SCRIPT':
        return this.#script(args)
      case 'INFO':
        return this.#info((args[1] ?? 'all').toLowerCase())
      case 'ROLE':
        return [this.role]
      case 'WAIT':
        return 0
      case 'SELECT':
      case 'CLIENT':
      case 'HELLO':
        return OK
      default:
        return new ServerError(`ERR unknown command '${args[0]}', with args beginning with: `)
    }
  }

  #publish(channel: string, message: string): number {
    const peers = this.#subscribers.get(channel)
    if (!peers) return 0
    for (const peer of peers) peer.push(channel, message)
    return peers.size
  }

  #eval(name: string, args: readonly string[]): ServerReply {
    const given = args[1]!
    const sha = name === 'EVAL' ? sha1(given) : given.toLowerCase()
    const source = name === 'EVAL' ? given : this.#scripts.get(sha)
    if (source === undefined) return new ServerError('NOSCRIPT No matching script. Please use EVAL.')
    const count = Number(args[2])
    if (!Number.isInteger(count)) return new ServerError('ERR value is not an integer or out of range')
    if (count < 0) return new ServerError("ERR Number of keys can't be negative")
    if (count > args.length - 3)
      return new ServerError("ERR Number of keys can't be greater than number of args")
    const chunk = compileScript(sha, source)
    this.#scripts.set(sha, source)
    this.scripts++
    this.#run = { dirty: false, outOfMemory: this.full }
    try {
      return runScript(chunk, sha, args.slice(3, 3 + count), args.slice(3 + count), this.#call)
    } finally {
      this.#run = undefined
    }
  }

  #script(args: readonly string[]): ServerReply {
    switch (args[1]?.toUpperCase()) {
      case 'LOAD': {
        const sha = sha1(args[2]!)
        compileScript(sha, args[2]!)
        this.#scripts.set(sha, args[2]!)
        return sha
      }
      case 'EXISTS':
        return args.slice(2).map((sha) => (this.#scripts.has(sha.toLowerCase()) ? 1 : 0))
      case 'FLUSH':
        this.#scripts.clear()
        return OK
      default:
        return new ServerError('ERR unknown subcommand')
    }
  }

  #info(section: string): ServerReply {
    const wanted = (name: string) => section === 'all' || section === 'everything' || section === name
    const lines: string[] = []
    if (wanted('server')) {
      lines.push('# Server', 'redis_version:7.0.15', 'redis_mode:standalone', `run_id:${this.runId}`)
    }
    if (wanted('persistence')) lines.push('# Persistence', `loading:${this.loading ? 1 : 0}`)
    if (wanted('memory'))
      lines.push('# Memory', 'used_memory:1000000', 'maxmemory:0', 'maxmemory_policy:noeviction')
    if (wanted('replication')) {
      lines.push('# Replication', `role:${this.role}`, `master_replid:${this.replid}`, 'connected_slaves:0')
    }
    return `${lines.join('\r\n')}\r\n`
  }
}
