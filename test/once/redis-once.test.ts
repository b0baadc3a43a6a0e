import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOnce, type Once } from '../../src/once/once.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { countCommands } from '../support/monitor.ts'
import { PATIENT_DIAL } from '../support/patience.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const RUNNER = new URL('./runner.ts', import.meta.url)
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('run-once and one Redis, processes that die and lines that break', () => {
  let server: RedisServer
  let proxy: TestProxy
  const toClose: (() => Promise<void>)[] = []

  beforeAll(async () => {
    server = await startRedis()
    proxy = await startProxy(server.port)
  })
  afterAll(async () => {
    for (const close of toClose.toReversed()) await close()
    await proxy.stop()
    await server.stop()
  })

  async function connect(url = server.url): Promise<Once> {
    const redis = connectRedis(url, PATIENT_DIAL)
    await redis.ready(10_000)
    const once = createOnce({ redis, namespace: 'test' })
    toClose.push(() => redis.close())
    return once
  }
  async function runner(): Promise<Worker> {
    const worker = await startWorker(RUNNER, { env: { REDIS_URL: server.url } })
    toClose.push(() => worker.kill())
    return worker
  }
  const began = (worker: Worker, step: string) =>
    new Promise<void>((resolve) => worker.onMessage((message) => message.began === step && resolve()))

  it('claims and ends in one command each, and answers from the record in one', async () => {
    const once = await connect()
    const first = await countCommands(server, () => once('count', () => 1))
    expect(first.requests).toBe(2)
    const again = await countCommands(server, () => once('count', () => 2))
    expect(again.requests).toBe(1)
    expect(Number(await server.cli('PTTL', 'hf:test:once:{count}'))).toBeGreaterThan(86_000_000)
  })

  it('wakes who waits by a message, not by its next look', async () => {
    const [one, two] = [await connect(), await connect()]
    await two('warm', () => 1)
    let finish = () => {}
    const held = new Promise<void>((resolve) => {
      finish = resolve
    })
    const running = one('wake', () => held)
    await until('it runs', () => one.inspect('wake'))
    const waiting = two('wake', () => 'own', { wait: '10s' })
    await until('it listens', async () =>
      String(await server.cli('PUBSUB', 'CHANNELS')).includes('hf:test:once:{wake}:end'),
    )
    await pause(50)
    const started = performance.now()
    finish()
    await Promise.all([running, waiting])
    expect(performance.now() - started).toBeLessThan(1_000)
    await until(
      'the channel is left',
      async () => !String(await server.cli('PUBSUB', 'CHANNELS')).includes('once'),
    )
  })

  it('says running until the lease of a killed runner ends, then hands the checkpoint to the next [L26] [S0-23] [S0-24]', async () => {
    const once = await connect()
    const doomed = await runner()
    const second = began(doomed, 'second')
    doomed.ask({ op: 'plan', key: 'killed', stepMs: 1_000, lease: 4_000 }).catch(() => {})
    await second
    await doomed.kill()
    await expect(once('killed', () => 1, { onCrash: 'recover' })).rejects.toMatchObject({
      code: 'ONCE_RUNNING',
    })
    await until('the lease ends', async () => (await once.inspect('killed'))?.state === 'indeterminate')
    await expect(once('killed', () => 1)).rejects.toMatchObject({ code: 'ONCE_INDETERMINATE', attempts: 1 })
    const calls: string[] = []
    const result = await once(
      'killed',
      async (step) => {
        expect(step.before).toBe('crashed')
        expect(step.checkpoint).toEqual({ name: 'first', value: 'first' })
        for (const name of ['first', 'second']) await step(name, () => void calls.push(name))
        return 'recovered'
      },
      { onCrash: 'recover' },
    )
    expect(result).toBe('recovered')
    expect(calls).toEqual(['second'])
  })

  it('refuses the late end of a frozen runner after another took over, and keeps the result [L26] [S0-24]', async () => {
    const once = await connect()
    const frozen = await runner()
    const first = began(frozen, 'first')
    const late = frozen.ask({ op: 'plan', key: 'frozen', stepMs: 1_000, lease: 1_500 })
    await first
    frozen.pause()
    await until('the lease ends', async () => (await once.inspect('frozen'))?.state === 'indeterminate')
    expect(await once('frozen', () => 'mine', { onCrash: 'retry' })).toBe('mine')
    frozen.resume()
    expect(await late).toBe('ONCE_SUPERSEDED')
    expect(await once('frozen', () => 'third')).toBe('mine')
  })

  it('runs once for four processes that ask together, and gives all the same answer [L25] [S0-23]', async () => {
    const workers = await Promise.all([1, 2, 3, 4].map(runner))
    let started = 0
    for (const worker of workers) worker.onMessage(({ began }) => void (began === 'first' && started++))
    const ask = (worker: Worker) =>
      Array.from({ length: 10 }, () => worker.ask({ op: 'plan', key: 'four', stepMs: 100, wait: '15s' }))
    const answers = await Promise.all(workers.flatMap(ask))
    expect(started).toBe(1)
    expect(new Set(answers).size).toBe(1)
    expect(answers[0]).toMatch(/^by \d+$/)
  })

  it('writes the record again when Redis lost it during the run, so that no second run begins', async () => {
    const once = await connect()
    const other = await connect()
    const run = once(
      'flushed',
      async () => {
        await server.cli('DEL', 'hf:test:once:{flushed}')
        await until('the heartbeat wrote it again', () => other.inspect('flushed'))
        await expect(other('flushed', () => 'second')).rejects.toMatchObject({ code: 'ONCE_RUNNING' })
        return 'first'
      },
      { lease: 300 },
    )
    const result = await run
    expect(result).toBe('first')
    expect(await other('flushed', () => 'second')).toBe('first')
  })

  it('counts one attempt when the reply to a claim was lost and the claim repeated', async () => {
    const once = await connect(proxy.url)
    await once('warm-proxy', () => 1)
    proxy.halfOpen('replies')
    const run = once('lost-reply', (step) => step.attempt, { patience: '5s' })
    await until('the server took it', async () => server.cli('EXISTS', 'hf:test:once:{lost-reply}'))
    proxy.heal()
    expect(await run).toBe(1)
  })

  it('frees a claim that nobody heard of, instead of holding its key', async () => {
    const once = await connect(proxy.url)
    const other = await connect()
    await once('warm-proxy', () => 1)
    proxy.halfOpen('replies')
    const run = once('unheard', () => expect.unreachable('ran'), { patience: 0 })
    await expect(run).rejects.toMatchObject({ code: 'ONCE_UNAVAILABLE', outcome: undefined })
    proxy.heal()
    await until('it is free', async () => (await other.inspect('unheard'))?.state === 'retryable')
    expect(await other('unheard', () => 'ran')).toBe('ran')
  })

  it('runs nothing while Redis is away, and keeps the value of a run whose end it could not record', async () => {
    const own = await startRedis()
    try {
      const once = await connect(own.url)
      const run = once(
        'away',
        async () => {
          await own.kill()
          return 'done'
        },
        { lease: 400 },
      )
      await expect(run).rejects.toMatchObject({ code: 'ONCE_UNAVAILABLE', outcome: { value: 'done' } })
      const started = performance.now()
      await expect(once('other', () => expect.unreachable('ran'))).rejects.toMatchObject({
        code: 'ONCE_UNAVAILABLE',
      })
      expect(performance.now() - started).toBeLessThan(4_000)
      await own.restart()
      expect(await until('it works again', () => once('other', () => 'ran'))).toBe('ran')
    } finally {
      await own.stop()
    }
  })

  it('records the end of a run during which Redis crashed, came back empty and lost its scripts', async () => {
    const own = await startRedis()
    try {
      const once = await connect(own.url)
      const run = once('crashed', async (step) => {
        await step('before', () => 1)
        await own.restart()
        await step('after', () => 2)
        return 'survived'
      })
      expect(await run).toBe('survived')
      await own.cli('SCRIPT', 'FLUSH')
      expect(await once('crashed', () => 'again')).toBe('survived')
    } finally {
      await own.stop()
    }
  })

  it('ends a run on a server that is full, and refuses to begin another', async () => {
    const own = await startRedis()
    try {
      const once = await connect(own.url)
      const run = once('full', async () => {
        await own.cli('CONFIG', 'SET', 'maxmemory', '1')
        return 'kept'
      })
      expect(await run).toBe('kept')
      expect(await once('full', () => 'again')).toBe('kept')
      await expect(once('more', () => 1, { patience: 0 })).rejects.toMatchObject({ code: 'ONCE_UNAVAILABLE' })
    } finally {
      await own.stop()
    }
  })
})
