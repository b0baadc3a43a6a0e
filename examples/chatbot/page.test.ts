import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { type Postgres, startPostgres } from '../simulators/postgres.ts'
import { type ChatbotServer, startChatbot } from './server.ts'

const ARGUMENTS =
  '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const AUDIT = readFileSync(new URL('page-audit.js', import.meta.url), 'utf8')
interface Audit {
  scrollsSideways: boolean
  worstContrast: number
  unlabelled: number
  lowestControl: number
}
const executablePath = onPath(['chromium', 'chromium-browser', 'google-chrome'])
if (!executablePath) console.warn('page.test.ts is skipped: there is no chromium on the PATH')

describe.skipIf(!executablePath)('the page, in a browser', { timeout: 60_000 }, () => {
  let postgres: Postgres
  let server: ChatbotServer
  let browser: Browser
  let context: BrowserContext | undefined
  const complaints: string[] = []

  const start = (port: number) =>
    startChatbot({ DATABASE_URL: postgres.url, PORT: String(port), OPERATOR_TOKEN: 'operator' })
  beforeAll(async () => {
    postgres = await startPostgres()
    server = await start(await freePort())
    browser = await chromium.launch({ executablePath, args: ARGUMENTS.split(' ') })
  })
  afterEach(async () => {
    await context?.close()
    context = undefined
    expect(complaints.splice(0)).toEqual([])
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await postgres?.close()
  })

  /** A visitor's own browser; what its console says is a failure unless it is expected. */
  async function visit(options: Parameters<Browser['newContext']>[0] = {}, expected = /^$/): Promise<Page> {
    context ??= await browser.newContext(options)
    const page = await context.newPage()
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()) && !expected.test(message.text()))
        complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(server.url)
    await page.locator('#state[data-state=open]').waitFor()
    return page
  }
  const say = async (page: Page, text: string) => {
    await page.getByLabel('Your message').fill(text)
    await page.keyboard.press('Enter')
  }
  const lines = (page: Page) => page.locator('#log p').allTextContents()
  const chatOf = (page: Page) => page.evaluate<string>("localStorage.getItem('chat') ?? ''")
  const operate = (chat: string, check_reply: boolean) =>
    fetch(`${server.url}/api/v1/chats/${chat}/check_reply`, {
      method: 'PUT',
      headers: { authorization: 'Bearer operator', 'content-type': 'application/json' },
      body: JSON.stringify({ check_reply }),
    })

  it('shows the answer and that the message is safe, and all of it again after a reload [S0-20]', async () => {
    const page = await visit()
    await say(page, 'hello')
    await page.getByText('Ask me about opening hours').waitFor()
    await page.getByText(/^safe after \d+ ms$/).waitFor()
    await page.getByRole('button', { name: 'Send' }).isEnabled()
    await page.reload()
    await expect.poll(() => lines(page)).toHaveLength(2)
    expect((await lines(page))[0]).toBe('hello')
  })

  it('follows a plan over several messages [S0-21]', async () => {
    const page = await visit()
    for (const text of ['call me back please', 'My name is Ada Lovelace', '0912 345 678'])
      await say(page, text)
    await page.getByText('We will call you at 0912345678, Ada Lovelace.').waitFor()
    expect(await lines(page)).toHaveLength(6)
  })

  it('says when a person has taken over, from the next message on [S1-2][B14]', async () => {
    const page = await visit()
    const chat = await chatOf(page)
    await say(page, 'hello')
    await page.getByText('Ask me about opening hours').waitFor()
    expect((await operate(chat, false)).status).toBe(200)
    await say(page, 'hello again')
    await page.getByText('A person has taken over.').waitFor()
    expect(await lines(page)).toHaveLength(3)
    await operate(chat, true)
    await say(page, 'hello')
    await expect.poll(() => lines(page)).toHaveLength(5)
    await page.getByText('A person has taken over.').waitFor({ state: 'hidden' })
  })

  it('puts words into the page, never markup', async () => {
    const page = await visit()
    await say(page, '<img src=x onerror="document.title=1"><b>bold</b>')
    await page.getByText(/^safe after/).waitFor()
    expect((await lines(page))[0]).toBe('<img src=x onerror="document.title=1"><b>bold</b>')
    expect(await page.title()).toBe('Chat')
  })

  it('sends what was written while the server was away, once and in order', async () => {
    const page = await visit({}, /WebSocket connection|ERR_CONNECTION_REFUSED/)
    const chat = await chatOf(page)
    const port = Number(new URL(server.url).port)
    await server.close()
    await page.locator('#state[data-state=lost]').waitFor()
    for (const text of ['one', 'two', 'three']) await say(page, text)
    expect(await page.getByText('sending…').count()).toBe(3)
    server = await start(port)
    await expect.poll(() => page.getByText(/^safe after/).count(), { timeout: 15_000 }).toBe(3)
    const saved = async () => {
      const headers = { authorization: 'Bearer operator' }
      const answer = await fetch(`${server.url}/api/v1/chats/${chat}/messages`, { headers })
      const { messages } = (await answer.json()) as { messages: { sender: string; body: string }[] }
      return messages.filter(({ sender }) => sender === 'visitor').map(({ body }) => body)
    }
    await expect.poll(saved, { timeout: 5_000 }).toEqual(['one', 'two', 'three'])
  })

  it('opens a new chat when its own is unknown', async () => {
    const page = await visit()
    await page.evaluate("localStorage.setItem('chat', 'x'.repeat(24))")
    await page.reload()
    await page.locator('#state[data-state=open]').waitFor()
    await expect.poll(() => chatOf(page)).not.toBe('x'.repeat(24))
    await page.locator('#state[data-state=open]').waitFor()
    await say(page, 'hello')
    await page.getByText('Ask me about opening hours').waitFor()
  })

  it('is readable and fits, light and dark, at 360 pixels and wide', async () => {
    const page = await visit({ viewport: { width: 360, height: 640 } })
    await say(page, `hello ${'x'.repeat(300)}`)
    await page.getByText('Ask me about opening hours').waitFor()
    await page.getByText(/^safe after/).waitFor()
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 640 })
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        const seen = await page.evaluate<Audit>(AUDIT)
        expect(seen).toMatchObject({ scrollsSideways: false, unlabelled: 0 })
        expect(seen.worstContrast, `${colorScheme} at ${width}`).toBeGreaterThanOrEqual(4.5)
        expect(seen.lowestControl).toBeGreaterThanOrEqual(44)
      }
    }
  })

  it('is worked by keyboard alone', async () => {
    const page = await visit()
    const focused = () => page.evaluate<string>('document.activeElement.id || document.activeElement.tagName')
    const order = []
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press('Tab')
      order.push(await focused())
    }
    expect(order).toEqual(['log', 'text', 'BUTTON'])
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.type('hello')
    await page.keyboard.press('Shift+Enter')
    await page.keyboard.type('there')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await expect.poll(async () => (await lines(page))[0]).toBe('hello\nthere')
    expect(await focused()).toBe('text')
  })
})

function onPath(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
