import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAsSaid, runReadme } from '../../test/support/readme-commands.ts'
import { type ChatbotServer, startChatbot } from './server.ts'

let server: ChatbotServer
beforeAll(async () => {
  server = await startChatbot({ PORT: '0' })
})
afterAll(() => server.close())

describe('the README of the chatbot', () => {
  it('shows commands that do what it says, as they are written', async () => {
    const ran = await runReadme(fileURLToPath(new URL('./README.md', import.meta.url)), {
      'http://127.0.0.1:3101': server.url,
      $token: server.operatorToken,
    })
    expect(ran.length).toBeGreaterThan(6)
    expect(ran.filter((command) => !isAsSaid(command))).toEqual([])
  })
})
