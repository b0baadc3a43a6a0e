/**
 * A TCP proxy on loopback that misbehaves on demand, between a client and a test server.
 *
 *   const proxy = await startProxy(redis.port)      // point the client at proxy.port
 *   proxy.latency(50)                               // each direction, from now on
 *   proxy.cut()                                     // RST on every connection; new ones are fine
 *   proxy.refuse(true)                              // also RST on every new one
 *   proxy.blackHole(true)                           // swallows all bytes, both ways; accepts connections
 *   proxy.halfOpen('replies')                       // requests arrive, replies never do
 *   proxy.slice(1)                                  // hands bytes over one by one
 *   proxy.heal()                                    // back to plain; what was swallowed stays lost
 *   proxy.opened; proxy.open                        // connections ever, connections now
 *
 * Swallowed bytes break the stream's framing, so a connection that lost some is cut at `heal()`.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { freePort } from './free-port.ts'

export interface TestProxy {
  readonly port: number
  /** `redis://127.0.0.1:<port>` */
  readonly url: string
  readonly opened: number
  readonly open: number
  /** Bytes passed on so far. */
  readonly bytes: { readonly up: number; readonly down: number }
  latency(ms: number): void
  cut(): void
  refuse(on: boolean): void
  blackHole(on: boolean): void
  /** Drops one direction only: `'requests'` never reach the server, `'replies'` never come back. */
  halfOpen(direction: 'requests' | 'replies' | false): void
  /** At most this many bytes per write, each in its own turn; 0 = as they come. */
  slice(size: number): void
  /** Points new connections to another server. */
  retarget(port: number): void
  heal(): void
  stop(): Promise<void>
}

export async function startProxy(target: number): Promise<TestProxy> {
  const proxy = new FaultyProxy(target)
  await proxy.listen()
  return proxy
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  lossy: boolean
}

type Direction = 'requests' | 'replies'

class FaultyProxy implements TestProxy {
  readonly #pairs = new Set<Pair>()
  readonly #server: Server
  readonly bytes = { up: 0, down: 0 }
  opened = 0
  port = 0
  #target: number
  #latencyMs = 0
  #refusing = false
  #dropping = new Set<Direction>()
  #sliceBytes = 0

  constructor(target: number) {
    this.#target = target
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  get open(): number {
    return this.#pairs.size
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async listen(): Promise<void> {
    this.port = await freePort()
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.port, '127.0.0.1', resolve)
    })
    this.#server.unref()
  }

  latency(ms: number): void {
    this.#latencyMs = ms
  }

  cut(): void {
    for (const pair of this.#pairs) this.#reset(pair)
  }

  refuse(on: boolean): void {
    this.#refusing = on
    if (on) this.cut()
  }

  blackHole(on: boolean): void {
    this.#dropping = new Set(on ? (['requests', 'replies'] as const) : [])
  }

  halfOpen(direction: Direction | false): void {
    this.#dropping = new Set(direction ? [direction] : [])
  }

  slice(size: number): void {
    this.#sliceBytes = size
  }

  retarget(port: number): void {
    this.#target = port
  }

  heal(): void {
    this.#latencyMs = 0
    this.#refusing = false
    this.#dropping.clear()
    this.#sliceBytes = 0
    for (const pair of this.#pairs) if (pair.lossy) this.#reset(pair)
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #accept(client: Socket): void {
    this.opened++
    client.on('error', () => {})
    if (this.#refusing) {
      client.resetAndDestroy()
      return
    }
    const server = dial({ host: '127.0.0.1', port: this.#target, noDelay: true })
    const pair: Pair = { client, server, lossy: false }
    this.#pairs.add(pair)
    server.on('error', () => this.#reset(pair))
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    client.on('close', end)
    server.on('close', end)
    this.#pump(pair, client, server, 'requests')
    this.#pump(pair, server, client, 'replies')
  }

  #pump(pair: Pair, from: Socket, to: Socket, direction: Direction): void {
    let line = Promise.resolve()
    from.on('data', (chunk: Buffer) => {
      if (this.#dropping.has(direction)) {
        pair.lossy = true
        return
      }
      // One line per direction: bytes keep their order whatever the delay of each chunk.
      const due = performance.now() + this.#latencyMs
      line = line.then(async () => {
        const wait = due - performance.now()
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(wait)))
        await this.#write(to, chunk, direction)
      })
    })
  }

  async #write(to: Socket, chunk: Buffer, direction: Direction): Promise<void> {
    const size = this.#sliceBytes || chunk.length
    for (let at = 0; at < chunk.length && !to.destroyed; at += size) {
      if (at > 0) await new Promise((resolve) => setImmediate(resolve))
      to.write(chunk.subarray(at, at + size))
    }
    this.bytes[direction === 'requests' ? 'up' : 'down'] += chunk.length
  }

  #reset(pair: Pair): void {
    this.#pairs.delete(pair)
    pair.client.resetAndDestroy()
    pair.server.resetAndDestroy()
  }
}
