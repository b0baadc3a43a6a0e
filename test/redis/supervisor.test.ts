/** The supervisor over a scripted link and a clock that stands still: rules of time, exactly. */
import { afterEach, describe, expect, it } from 'vitest'
import { sleep } from '../../src/base/clock.ts'
import { RedisTimeout, RedisUnavailable } from '../../src/base/errors.ts'
import { createPort } from '../../src/redis/create-port.ts'
import type { Arg, Dialer, Link, Reply } from '../../src/redis/link.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { defineScript } from '../../src/redis/script.ts'
import { ServerClock } from '../../src/redis/server-clock.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

const RANDOM = { float: () => 0.5, id: () => 'id' }

/** A server of a few words: answers at once unless it is told to be mute. */
class ScriptedServer implements Dialer {
  readonly topology = 'single' as const
  readonly label = 'scripted:1'
  readonly clock: FakeClock
  readonly dialledAt: number[] = []
  readonly sent: string[] = []
  links = new Set<ScriptedLink>()
  mute = false
  slowMs = 0
  refuse = false
  runId = 'run'
  replid = 'repl'
  role = 'master'

  constructor(clock: FakeClock) {
    this.clock = clock
  }

  async dial(): Promise<Link> {
    this.dialledAt.push(this.clock.mono())
    if (this.refuse) throw new RedisUnavailable('refused')
    const link = new ScriptedLink(this)
    this.links.add(link)
    return link
  }

  answer(args: readonly Arg[]): Reply {
    const [command, section] = args.map(String)
    if (command === 'INFO' && section === 'server') return `redis_version:7.0.0\r\nrun_id:${this.runId}\r\n`
    if (command === 'INFO') return `role:${this.role}\r\nmaster_replid:${this.replid}\r\n`
    if (command === 'TIME')
      return [String(Math.floor(this.clock.wall() / 1_000)), String((this.clock.wall() % 1_000) * 1_000)]
    return command === 'PING' ? 'PONG' : 'OK'
  }
}

class ScriptedLink implements Link {
  readonly address = 'scripted:1'
  readonly #server: ScriptedServer
  #down: (cause: Error) => void = () => {}
  destroyed = false

  constructor(server: ScriptedServer) {
    this.#server = server
  }

  async send(args: readonly Arg[]): Promise<Reply> {
    this.#server.sent.push(args.map(String).join(' '))
    if (this.#server.mute) return new Promise<Reply>(() => {})
    if (this.#server.slowMs > 0) await sleep(this.#server.clock, this.#server.slowMs)
    return this.#server.answer(args)
  }

  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}

  async ping(): Promise<void> {
    await this.send(['PING'])
  }

  onDown(listener: (cause: Error) => void): void {
    this.#down = listener
  }

  cut(): void {
    this.#down(new RedisUnavailable('cut'))
  }

  destroy(): void {
    this.destroyed = true
    this.#server.links.delete(this)
  }
}

const open: RedisPort[] = []
afterEach(() => Promise.all(open.splice(0).map((port) => port.close())))

/** Pretends that our event loop came too late to its timers. */
class LaggingClock extends FakeClock {
  lag = 0
  override mono(): number {
    return super.mono() + this.lag
  }
}

async function start() {
  const clock = new LaggingClock()
  const server = new ScriptedServer(clock)
  const port = createPort(server, { clock, random: RANDOM })
  open.push(port)
  await clock.advance(1)
  const node = port.nodeFor('k')
  const fate = (promise: Promise<unknown>) => {
    const seen = { is: 'pending' as unknown }
    promise.then(
      () => (seen.is = 'resolved'),
      (error) => (seen.is = error),
    )
    return seen
  }
  return { clock, server, port, node, fate }
}

describe('the supervisor', () => {
  it('lets each call go at its own deadline, whatever the order of the deadlines', async () => {
    const { clock, server, node, fate } = await start()
    server.mute = true
    const calls = [500, 60, 300].map((deadline) => fate(node.send(['GET', 'k'], { deadline })))
    const states = () => calls.map((call) => (call.is instanceof RedisTimeout ? 'timeout' : call.is))
    await clock.advance(58)
    expect(states()).toEqual(['pending', 'pending', 'pending'])
    await clock.advance(3)
    expect(states()).toEqual(['pending', 'timeout', 'pending'])
    await clock.advance(240)
    expect(states()).toEqual(['pending', 'timeout', 'timeout'])
    await clock.advance(200)
    expect(states()).toEqual(['timeout', 'timeout', 'timeout'])
  })

  it('breaks after five deadlines missed in a row: not after four, nor for one answer among them', async () => {
    const { clock, server, node, fate } = await start()
    const miss = async (times: number) => {
      server.mute = true
      for (let i = 0; i < times; i++) {
        fate(node.send(['GET', 'k'], { deadline: 20 }))
        await clock.advance(21)
      }
      server.mute = false
    }
    await miss(4)
    await node.send(['GET', 'k'], { deadline: 20 })
    await miss(4)
    expect(node.state).toBe('ready')
    await miss(1)
    expect(node.state).toBe('down')
  })

  it('breaks on a server whose every answer comes too late, though it does answer', async () => {
    const { clock, server, node, fate } = await start()
    server.slowMs = 25
    for (let i = 0; i < 5; i++) {
      expect(node.state).toBe('ready')
      fate(node.send(['GET', 'k'], { deadline: 20 }))
      await clock.advance(26)
    }
    expect(node.state).toBe('down')
  })

  it('does not count deadlines that passed while our own event loop was late', async () => {
    const { clock, server, node, fate } = await start()
    server.mute = true
    for (let i = 0; i < 12; i++) {
      const call = fate(node.send(['GET', 'k'], { deadline: 20 }))
      clock.lag += 30
      await clock.advance(21)
      expect(call.is).toBeInstanceOf(RedisTimeout)
    }
    expect(node.state).toBe('ready')
  })

  it('declares a mute server dead 750 ms after the oldest unanswered command, within one look', async () => {
    const { clock, server, node } = await start()
    server.mute = true
    node.send(['GET', 'k'], { deadline: 60_000 }).catch(() => {})
    await clock.advance(740)
    expect(node.state).toBe('ready')
    await clock.advance(270)
    expect(node.state).toBe('down')
  })

  it('sends a PING only into silence, one each 250 ms', async () => {
    const { clock, server } = await start()
    server.sent.length = 0
    await clock.advance(900)
    expect(server.sent.filter((command) => command === 'PING').length).toBe(3)
  })

  it('pauses 100, 200, 400, 500, 500 ms between attempts, each ±25 %', async () => {
    const { clock, server } = await start()
    server.refuse = true
    await clock.advance(1_500)
    for (const link of [...server.links]) link.cut()
    server.dialledAt.length = 0
    const from = clock.mono()
    await clock.advance(2_500)
    // The middle of the jitter; a connection that lived is redialled after a tenth of the first pause.
    expect(server.dialledAt.map((at) => at - from)).toEqual([10, 210, 610, 1_110, 1_610, 2_110])
  })

  it('reaches a server that is too far for one handshake: one that ran out of time gives the next twice as much', async () => {
    const clock = new LaggingClock()
    const server = new ScriptedServer(clock)
    // Its answers come together, after the 600 ms that the first attempt may take.
    server.slowMs = 650
    const port = createPort(server, { clock, random: RANDOM })
    open.push(port)
    const node = port.nodeFor('k')
    await clock.advance(620)
    expect(node.state).not.toBe('ready')
    await clock.advance(1_000)
    expect(node.state).toBe('ready')
    expect(server.dialledAt).toHaveLength(2)
  })

  it('sends a script as text once per connection, then by its digest', async () => {
    const { clock, server, node } = await start()
    const script = defineScript('one', 'return 1')
    const run = () => node.eval(script, ['k'], ['a'], { deadline: 100 })
    server.sent.length = 0
    await Promise.all([run(), run()])
    expect(server.sent).toEqual([`EVAL return 1 1 k a`, `EVALSHA ${script.sha} 1 k a`])
    for (const link of [...server.links]) link.cut()
    await clock.advance(100)
    server.sent.length = 0
    await run()
    expect(server.sent).toEqual([`EVAL return 1 1 k a`])
  })

  it('never shows more than the true server time, and follows it after a step', () => {
    const clock = new ServerClock()
    expect(clock.now(5, 77)).toBe(77)
    clock.add({ server: 1_000, from: 100, to: 110 })
    expect(clock.now(110, 0)).toBe(1_000)
    // A slower round trip that agrees does not loosen the bound.
    clock.add({ server: 1_100, from: 200, to: 260 })
    expect(clock.now(260, 0)).toBe(1_150)
    // The server's clock was set back by ten seconds.
    clock.add({ server: -8_800, from: 300, to: 301 })
    expect(clock.now(301, 0)).toBe(-8_800)
  })

  it('leaves no timer after close()', async () => {
    const { clock, server, port, node } = await start()
    node.bus.subscribe(['c'], { message() {}, gap() {}, open() {} })
    await clock.advance(600)
    expect(server.links.size).toBe(2)
    server.mute = true
    const call = node.send(['GET', 'k'], { deadline: 60_000 }).catch((error: unknown) => error)
    await port.close()
    expect(await call).toMatchObject({ code: 'CLOSED' })
    expect(server.links.size).toBe(0)
    await clock.advance(0)
    expect(clock.pending).toBe(0)
  })

  it('leaves no timer when closed between two attempts', async () => {
    const { clock, server, port } = await start()
    server.refuse = true
    for (const link of [...server.links]) link.cut()
    await clock.advance(50)
    await port.close()
    await clock.advance(0)
    expect(clock.pending).toBe(0)
  })
})
