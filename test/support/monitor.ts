/**
 * Counts what really reaches a server while a piece of code runs, so that tests can state round
 * trips instead of believing them.
 *
 *   const seen = await countCommands(redis, () => hf.cache.get('k'))
 *   seen.commands        // [{ name: 'MGET', args: ['w', …], client }] in order of arrival
 *   seen.byName          // { MGET: 1 }
 *   seen.requests        // how many client commands, in all
 *   seen.inScripts       // what Lua scripts called inside, apart
 *   seen.result          // what the code returned
 *
 *   const counter = await countTrips(redis.port)      // a proxy: point the client at counter.url
 *   await counter.during(() => hf.cache.get('k'))     // 1
 *
 * MONITOR cannot tell ten pipelined commands (one trip) from ten awaited ones; the proxy can.
 */
import { createServer, connect as dial, type Socket } from 'node:net'
import type { RedisServer } from './redis-server.ts'
import { until } from './until.ts'

export interface SeenCommand {
  readonly name: string
  readonly args: readonly string[]
  /** `host:port` of the client, which tells connections apart. */
  readonly client: string
}

export interface SeenCommands<T> {
  readonly result: T
  readonly commands: readonly SeenCommand[]
  readonly byName: Readonly<Record<string, number>>
  /** Client commands, in all. */
  readonly requests: number
  /** What scripts called inside, by name. */
  readonly inScripts: Readonly<Record<string, number>>
}

export interface CountOptions {
  /** Commands that say nothing about the operation. @default PING, CLIENT, HELLO, AUTH, SELECT, INFO, ROLE, TIME */
  readonly ignore?: readonly string[]
}

const HOUSEKEEPING = [
  'PING',
  'CLIENT',
  'HELLO',
  'AUTH',
  'SELECT',
  'INFO',
  'ROLE',
  'TIME',
  'MONITOR',
  'COMMAND',
]

/** Runs `fn` and tells which client commands the server executed meanwhile, by MONITOR. */
export async function countCommands<T>(
  server: RedisServer,
  fn: () => T | Promise<T>,
  options: CountOptions = {},
): Promise<SeenCommands<T>> {
  const ignored = new Set((options.ignore ?? HOUSEKEEPING).map((name) => name.toUpperCase()))
  const lines: string[] = []
  const watch = await server.connect()
  const probe = await server.connect()
  try {
    watch.onLine = (line) => lines.push(String(line))
    await watch.send('MONITOR')
    const result = await fn()
    // Our own mark comes last in the server's order: everything before it has been seen.
    const mark = `end-of-count-${process.pid}-${performance.now()}`
    await probe.send('ECHO', mark)
    await until('MONITOR reports the mark', () => lines.some((line) => line.includes(mark)))
    const own = lines.findIndex((line) => line.includes(mark))
    const parsed = lines.slice(0, own).map(parseLine)
    const commands = parsed.filter((line) => line.client !== 'lua' && !ignored.has(line.name))
    const inScripts = parsed.filter((line) => line.client === 'lua')
    return {
      result,
      commands,
      byName: tally(commands),
      requests: commands.length,
      inScripts: tally(inScripts),
    }
  } finally {
    watch.close()
    probe.close()
  }
}

/** `1700000000.123456 [0 127.0.0.1:4711] "SET" "a" "1"` */
function parseLine(line: string): SeenCommand {
  const client = /\[\d+ ([^\]]+)\]/.exec(line)?.[1] ?? ''
  const words = [...line.slice(line.indexOf(']') + 1).matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(
    (match) => match[1]!,
  )
  return { name: (words[0] ?? '').toUpperCase(), args: words.slice(1), client }
}

function tally(commands: readonly SeenCommand[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { name } of commands) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

export interface TripCounter {
  readonly port: number
  readonly url: string
  /** Times that a connection began to wait for the server: turns from replies to requests. */
  readonly trips: number
  /** Runs `fn` and gives the trips that it took. */
  during(fn: () => unknown): Promise<number>
  stop(): Promise<void>
}

/**
 * A plain proxy that counts round trips as the network sees them: each change of direction, from
 * bytes of the server (or nothing) to bytes of the client, is one more trip on that connection.
 */
export async function countTrips(target: number): Promise<TripCounter> {
  const sockets = new Set<Socket>()
  let trips = 0
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = dial({ host: '127.0.0.1', port: target, noDelay: true })
    let waiting = false
    client.on('data', (chunk) => {
      if (!waiting) trips++
      waiting = true
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      waiting = false
      client.write(chunk)
    })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get trips() {
      return trips
    },
    async during(fn) {
      const before = trips
      await fn()
      return trips - before
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
