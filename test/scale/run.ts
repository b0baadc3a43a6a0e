/**
 * The command line and the administration against a million keys. By hand: `npm run scale`, or
 * `npm run scale -- 200000`. The heap of this process is held to 256 MB by the script.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { holdfast } from '../../src/holdfast.ts'
import { startRedis, stopAllRedis } from '../support/redis-server.ts'
import { fill } from './fill.ts'
import { serverTimes, type Walked, walkAdmin, walkCommands } from './walk.ts'

const KEYS = Number(process.argv[2] ?? 1_000_000)
const MOST_MS = 60_000

const dir = mkdtempSync(join(tmpdir(), 'holdfast-scale-'))
const server = await startRedis({ config: { 'slowlog-log-slower-than': 10_000, 'slowlog-max-len': 1_000 } })
const hf = holdfast({
  redis: server.url,
  namespace: 'scale',
  deadlines: { connect: '10s', read: '5s', write: '5s' },
})
let bad = 0
try {
  await hf.ready('20s')
  const began = performance.now()
  await fill(server, hf, KEYS)
  console.log(`${KEYS} keys in ${Math.round(performance.now() - began)} ms, ${await memory()}`)
  await serverTimes(server)
  const told = (row: Walked): void => {
    const fine = row.ok && row.ms < MOST_MS
    if (!fine) bad++
    console.log(
      `${fine ? 'ok ' : 'BAD'} ${String(row.ms).padStart(7)} ms ${String(row.grownMb).padStart(4)} MB  ${row.what}`,
    )
  }
  await walkAdmin(hf, told)
  await report('the administration')
  await walkCommands(server.url, dir, false, told)
  await report('the commands')
} finally {
  await hf.close()
  await stopAllRedis()
  rmSync(dir, { recursive: true })
}
process.exitCode = bad > 0 ? 1 : 0

async function memory(): Promise<string> {
  return /used_memory_human:(\S+)/.exec(String(await server.cli('INFO', 'memory')))?.[1] ?? ''
}

async function report(whose: string): Promise<void> {
  const { calls, slowest, over10Ms } = await serverTimes(server)
  console.log(
    `${whose}: ${calls} commands; the slowest on average is ${slowest.command} with ${slowest.averageUs} us; ${over10Ms} in the slow log`,
  )
  // A machine that does other things stops the server now and then: one in a hundred is forgiven.
  if (slowest.averageUs > 10_000 || over10Ms > calls / 100) bad++
}
