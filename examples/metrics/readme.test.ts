import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isAsSaid, runReadme } from '../../test/support/readme-commands.ts'
import { type MetricsServer, startMetrics } from './server.ts'

let metrics: MetricsServer
beforeAll(async () => {
  metrics = await startMetrics({ PORT: '0', WARM: 'false', SIMULATOR_LATENCY_MS: '50' })
})
afterAll(() => metrics.close())

it('the README of metrics shows commands that do what it says, as they are written', async () => {
  const README = fileURLToPath(new URL('./README.md', import.meta.url))
  const ran = await runReadme(README, {
    'http://127.0.0.1:3102': metrics.url,
    'http://127.0.0.1:3192': metrics.upstreams.meta,
  })
  expect(ran.length).toBeGreaterThan(20)
  expect(ran.filter((command) => !isAsSaid(command))).toEqual([])
})
