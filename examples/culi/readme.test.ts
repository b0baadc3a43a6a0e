import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { isAsSaid, runReadme } from '../../test/support/readme-commands.ts'
import { type CuliServer, startCuli } from './server.ts'

let culi: CuliServer
beforeAll(async () => {
  culi = await startCuli({ PORT: '0', SIMULATOR_PORT: String(await freePort()) })
})
afterAll(() => culi.close())

it('the README of Culi shows commands that do what it says, as they are written', async () => {
  const README = fileURLToPath(new URL('./README.md', import.meta.url))
  const ran = await runReadme(README, {
    'http://127.0.0.1:3100': culi.url,
    'http://127.0.0.1:3190': culi.upstream,
  })
  expect(ran.length).toBeGreaterThan(20)
  expect(ran.filter((command) => !isAsSaid(command))).toEqual([])
})

it('a server with wrong settings does not start, and does not tell its secrets', async () => {
  const why = (CULI_WORKSPACES: string) =>
    startCuli({ PORT: '0', CULI_WORKSPACES }).then(
      () => 'it started',
      (error: unknown) => String(error),
    )
  const shop = { retailer: 'a', clientId: 'b', clientSecret: 'hush hush', users: {} }
  expect(await why(JSON.stringify([shop]).slice(0, -3))).toBe('Error: CULI_WORKSPACES is not JSON')
  const short = await why(JSON.stringify([shop]))
  expect([short.includes('clientSecret'), short.includes('hush')]).toEqual([true, false])
})
