import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAsSaid, runReadme } from '../../test/support/readme-commands.ts'
import { startTasks, type TasksServer } from './server.ts'

let server: TasksServer
beforeAll(async () => {
  server = await startTasks({ PORT: '0' })
})
afterAll(() => server.close())

describe('the README of tasks', () => {
  it('shows commands that do what it says, as they are written [S3-19][S3-20][S3-22][S3-23]', async () => {
    const ran = await runReadme(fileURLToPath(new URL('./README.md', import.meta.url)), {
      'http://127.0.0.1:3103': server.url,
      BUSINESS_TOKEN: server.adminTokens.business!,
      ENTERPRISE_TOKEN: server.adminTokens.enterprise!,
    })
    expect(ran.length).toBeGreaterThan(15)
    expect(ran.filter((command) => !isAsSaid(command))).toEqual([])
  })
})
