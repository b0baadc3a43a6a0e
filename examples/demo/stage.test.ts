import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Backend } from '../../src/cli/demo-backend.ts'
import { startTasks, type TasksServer } from '../tasks/server.ts'
import { CATALOG } from './catalog.ts'
import { type Stage, startStage } from './stage.ts'

const AUDIT = readFileSync(new URL('../chatbot/page-audit.js', import.meta.url), 'utf8')
const executablePath = onPath(['chromium', 'chromium-browser', 'google-chrome'])

let tasks: TasksServer
let stage: Stage
beforeAll(async () => {
  tasks = await startTasks({ PORT: '0' })
  const backend: Backend = { ...tasks, exited: new Promise(() => {}), stop: async () => {} }
  stage = await startStage({ backends: { tasks: [backend] }, port: 0, target: tasks.target })
})
afterAll(async () => {
  await stage?.close()
  await tasks?.close()
})

interface State {
  traffic: boolean
  backends: { figures: { asked: number; failed: number; hitRate?: number; calls?: number } }[]
}
const state = async () => (await (await fetch(`${stage.url}state`)).json()) as State

describe('the page over all backends', () => {
  it('says each in three sentences, and the dashboard in six lines', async () => {
    expect(Object.keys(CATALOG)).toEqual(['culi', 'chatbot', 'metrics', 'tasks', 'insight'])
    for (const { sentences, code } of Object.values(CATALOG)) {
      expect(sentences).toHaveLength(3)
      for (const sentence of sentences) expect(sentence).toMatch(/^[A-Z].*\.$/)
      expect(code.split('\n').length).toBeLessThanOrEqual(7)
    }
    const { dashboardCode } = (await (await fetch(`${stage.url}state`)).json()) as { dashboardCode: string }
    expect(dashboardCode.split('\n').filter(Boolean).length).toBeLessThanOrEqual(6)
  })

  it('shows what the visitors see, who come when they are called and stop at the end', async () => {
    expect((await state()).traffic).toBe(false)
    const called = await fetch(`${stage.url}traffic`, { method: 'POST' })
    expect(called.status).toBe(202)
    const seen = async () => {
      const { figures } = (await state()).backends[0]!
      return (
        figures.asked > 10 && figures.failed === 0 && (figures.hitRate ?? 0) > 0 && (figures.calls ?? 0) > 0
      )
    }
    await expect.poll(seen, { timeout: 20_000 }).toBe(true)
    expect((await state()).traffic).toBe(true)
    await stage.traffic.stop()
    expect((await state()).traffic).toBe(false)
  })

  it('answers nobody but its own page, since it names tokens', async () => {
    const status = async (headers: Record<string, string>, path = 'state', method = 'GET') =>
      (await fetch(stage.url + path, { method, headers })).status
    expect(await status({ 'sec-fetch-site': 'same-origin' })).toBe(200)
    expect(await status({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await status({ 'sec-fetch-site': 'none' }, 'traffic', 'POST')).toBe(403)
    expect(await status({ 'sec-fetch-site': 'none' }, '')).toBe(200)
    expect(await status({}, 'nothing')).toBe(404)
    expect(await status({}, 'constructor')).toBe(404)
    const { headers } = await fetch(stage.url)
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
  })
})

describe.skipIf(!executablePath)('the page over all backends, in a browser', { timeout: 60_000 }, () => {
  let browser: Browser
  beforeAll(async () => {
    const args = '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking'.split(
      ' ',
    )
    browser = await chromium.launch({ executablePath, args })
  })
  afterAll(() => browser?.close())

  it.each(['light', 'dark'] as const)(
    'is readable on a phone in %s, and asks nobody else',
    async (colorScheme) => {
      const context = await browser.newContext({ colorScheme, viewport: { width: 360, height: 740 } })
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('console', (message) => complaints.push(message.text()))
      page.on('pageerror', (error) => complaints.push(String(error)))
      page.on('request', (request) => request.url().startsWith(stage.url) || complaints.push(request.url()))
      await page.goto(stage.url)
      await page.getByRole('heading', { name: 'Tasks' }).waitFor()
      await page.getByRole('link', { name: `${tasks.url}/api/v1/tasks` }).waitFor()
      const dashboard = await page.getByRole('link', { name: 'Its dashboard' }).getAttribute('href')
      expect(new URL(dashboard!).hash).toMatch(/^#token=.+/)
      await page.getByText('The six lines that mount it').click()
      await page.getByText("import { createAdmin } from 'holdfast/admin'").waitFor()
      const audit = await page.evaluate<{
        scrollsSideways: boolean
        worstContrast: number
        unlabelled: number
      }>(AUDIT)
      expect(audit.scrollsSideways).toBe(false)
      expect(audit.worstContrast).toBeGreaterThanOrEqual(4.5)
      expect(audit.unlabelled).toBe(0)
      expect(complaints).toEqual([])
      await context.close()
    },
  )
})

function onPath(names: readonly string[]): string | undefined {
  const files = names.flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  )
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
