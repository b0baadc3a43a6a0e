/** 1,000 callers on one cold key, in one process and in four: how often does the loader run? */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { RedisServer } from '../test/support/redis-server.ts'

const CALLERS = 1_000
const PEERS = ['holdfast', 'BentoCache', 'cacheable', 'cache-manager']

interface Outcome {
  readonly loads: number
  /** From the signal to the last answer, ms. */
  readonly took: number
}

export async function stampede(redis: RedisServer): Promise<string> {
  const rows: string[] = []
  for (const peer of PEERS) {
    const one = await attack(redis, peer, 1)
    const four = await attack(redis, peer, 4)
    rows.push(
      `| ${peer} | ${one.loads} | ${one.took.toFixed(0)} ms | ${four.loads} | ${four.took.toFixed(0)} ms |`,
    )
  }
  return [
    `### Stampede: ${CALLERS.toLocaleString('en')} callers on one cold key, loader takes 50 ms`,
    '',
    '| | loads, 1 process | until all answered | loads, 4 processes | until all answered |',
    '|---|--:|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n')
}

async function attack(redis: RedisServer, peer: string, processes: number): Promise<Outcome> {
  const worker = fileURLToPath(new URL('./stampede-worker.ts', import.meta.url))
  const children = Array.from({ length: processes }, () =>
    fork(worker, [redis.url, peer, String(CALLERS / processes)], { execArgv: ['--import', 'tsx'] }),
  )
  try {
    await Promise.all(children.map((child) => message(child)))
    for (const child of children) child.send('go')
    const outcomes = (await Promise.all(children.map((child) => message(child)))) as Outcome[]
    return {
      loads: outcomes.reduce((sum, { loads }) => sum + loads, 0),
      took: Math.max(...outcomes.map(({ took }) => took)),
    }
  } finally {
    for (const child of children) child.kill()
    await redis.cli('FLUSHALL')
  }
}

function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)))
  })
}
