import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { startTokenServer, type TokenServer } from '../support/token-server.ts'
import { executablePath, TestBrowser, type Visit } from './browser.ts'
import { buildDashboard, fill, serve } from './house.ts'

const ADMIN = 'a'.repeat(40)
const OPERATOR = 'o'.repeat(40)
const NOBODY = 'n'.repeat(40)
const TOKENS = [
  { token: ADMIN, edition: 'enterprise', name: 'eve' },
  { token: OPERATOR, edition: 'business', name: 'otto' },
  { token: NOBODY, edition: 'community', name: 'carla' },
] as const
const VIEWS = [
  'Overview',
  'Namespaces',
  'Keys',
  'Clear',
  'Limits',
  'Locks',
  'Run once',
  'Queues',
  'Sessions',
  'OAuth tokens',
  'Redis',
  'Audit',
]
/** What chromium writes when an answer is refused: said by the page too, in its own words. */
const REFUSED = /Failed to load resource/
const PATIENT = { connect: '15s', read: '10s', write: '10s', invalidate: '10s' } as const

if (!executablePath) console.warn('dashboard.test.ts is skipped: there is no chromium on the PATH')

describe.skipIf(!executablePath)('the dashboard, in a browser', { timeout: 90_000 }, () => {
  let built: Awaited<ReturnType<typeof buildDashboard>>
  let browser: TestBrowser
  let redis: RedisServer
  let idp: TokenServer
  let hf: Holdfast
  let empty: Holdfast
  let server: Awaited<ReturnType<typeof serve>>
  let plain: Awaited<ReturnType<typeof serve>>
  let end: () => Promise<void>

  beforeAll(async () => {
    ;[built, browser, redis, idp] = await Promise.all([
      buildDashboard(),
      TestBrowser.launch(),
      startRedis(),
      startTokenServer(),
    ])
    hf = holdfast({ redis: redis.url, namespace: 'shop', deadlines: PATIENT })
    empty = holdfast({ namespace: 'empty' })
    await hf.ready('20s')
    end = await fill(hf, idp)
    server = await serve({ holdfast: hf, tokens: TOKENS, dashboard: built.directory })
    plain = await serve({ holdfast: empty, dashboard: built.directory })
  })
  afterEach(async () => {
    expect(await browser.leave()).toEqual([])
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await plain?.close()
    await end?.()
    await hf?.close()
    await empty?.close()
    await redis?.stop()
    await idp?.stop()
    built?.remove()
  })

  /** Signed in, at a view. */
  const enter = async (place = '#/', options = {}, token = ADMIN, expected?: RegExp): Promise<Visit> => {
    const visit = await browser.visit(server.page + place, options, expected, token)
    await visit.page.locator('#nav').waitFor({ state: 'attached' })
    return visit
  }
  const row = (page: Page, text: string) => page.getByRole('row').filter({ hasText: text })
  const press = (page: Page, name: string | RegExp) =>
    page.getByRole('button', { name, exact: typeof name === 'string' }).click()
  const told = (page: Page, text: string | RegExp) =>
    page.locator('.toast').filter({ hasText: text }).waitFor()
  /** Answers the open question, typing what it wants typed. */
  const agree = async (page: Page, verb: string, typed?: string) => {
    const dialog = page.getByRole('dialog')
    const yes = dialog.getByRole('button', { name: verb, exact: true })
    if (typed !== undefined) {
      expect(await yes.isDisabled()).toBe(true)
      await dialog.getByRole('textbox').fill(typed)
    }
    await yes.click()
    await dialog.waitFor({ state: 'hidden' })
  }

  it('asks for a token, says when it is wrong, keeps it in the tab alone, and forgets it on signing out', async () => {
    const { page } = await browser.visit(server.page, {}, REFUSED)
    await page.getByLabel('Token').fill('w'.repeat(40))
    await page.keyboard.press('Enter')
    await page.getByText('You are not signed in').waitFor()
    await page.getByLabel('Token').fill(ADMIN)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).toBe('{}')
    expect(await page.evaluate('Object.values(sessionStorage)')).toEqual([ADMIN])
    await press(page, 'Sign out')
    await page.getByLabel('Token').waitFor()
    expect(await page.evaluate('sessionStorage.length')).toBe(0)
  })

  it('takes a token from the address once, and out of it at once', async () => {
    const { page } = await browser.visit(`${server.page}#token=${ADMIN}`)
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    expect(page.url()).toBe(`${server.page}#/`)
    expect(await page.evaluate('history.length')).toBeLessThanOrEqual(2)
    await page.reload()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
  })

  it('asks for nothing where this machine is the credential', async () => {
    const { page } = await browser.visit(plain.page)
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    expect(await page.getByRole('button', { name: 'Sign out' }).count()).toBe(0)
  })

  it('[S3-30, S3-31, S3-33] shows hit rate, latencies, memory and stampedes, live, and nothing on the page jumps', async () => {
    const { page } = await enter()
    const lookups = page
      .locator('.stat')
      .filter({ has: page.getByText('Look-ups / min') })
      .locator('.stat-value')
    await page.locator('.live').filter({ hasText: 'Live' }).waitFor()
    await page.locator('.chart-box canvas').first().waitFor()
    for (const name of [
      'Hit rate',
      'From the cache, p50',
      'Stampedes prevented',
      'Stale served',
      'Memory',
      'Evicted',
    ]) {
      await page.locator('.stat').getByText(name, { exact: true }).waitFor()
    }
    await page.evaluate('window.shifts.length = 0')
    const before = await lookups.textContent()
    for (let i = 0; i < 500; i++) await hf.cache.get('user:1')
    await expect.poll(() => lookups.textContent()).not.toBe(before)
    await press(page, 'Pause')
    const still = await lookups.textContent()
    for (let i = 0; i < 500; i++) await hf.cache.get('user:1')
    await page
      .waitForResponse((response) => response.url().includes('/history'), { timeout: 1_500 })
      .catch(() => undefined)
    expect(await lookups.textContent()).toBe(still)
    await press(page, 'Pause')
    await expect.poll(() => lookups.textContent()).not.toBe(still)
    expect(await page.evaluate<number>('window.shifts.reduce((sum, each) => sum + each, 0)')).toBe(0)
  })

  it('[S0-37] shows each namespace with its hit rate, bytes, lives and what expired unread', async () => {
    const { page } = await enter('#/namespaces')
    await row(page, '(root)').getByText('%').first().waitFor()
    await press(page, 'products')
    await page.getByRole('heading', { name: 'What is left of life in products' }).waitFor()
    await page.getByRole('list', { name: 'Keys of products by remaining life' }).waitFor()
    await page.getByRole('link', { name: 'Browse keys' }).click()
    await page.getByRole('link', { name: 'products|p1' }).waitFor()
  })

  it('[S4-31, S4-32] finds keys a page at a time, shows a value redacted, reveals it on record, explains it, deletes it', async () => {
    const { page } = await enter('#/keys')
    await page.getByLabel('Pattern').fill('user:*')
    await press(page, 'Search')
    await page.getByText('Page 1').waitFor()
    expect(await page.getByRole('row').count()).toBe(51)
    await press(page, 'Next')
    await page.getByText('Page 2').waitFor()
    await press(page, 'Previous')
    await page.getByText('Page 1').waitFor()

    await page.getByLabel('Pattern').fill('user:7')
    await press(page, 'Search')
    await page.getByRole('link', { name: 'user:7', exact: true }).click()
    const value = page.getByRole('region', { name: 'Value' })
    await value.getByText('[redacted]').waitFor()
    expect(await value.textContent()).toContain('reader')
    expect(await page.content()).not.toContain('enchantress')
    await page.getByText('Key in Redis').waitFor()
    await page.getByText('Tag users').waitFor()

    await press(page, 'Reveal')
    await agree(page, 'Reveal')
    await value.getByText('enchantress').waitFor()
    await press(page, 'Redact again')
    await value.getByText('[redacted]').waitFor()

    await press(page, 'Delete')
    await agree(page, 'Delete')
    await told(page, 'Deleted.')
    await page.getByText('No key matches').waitFor()
    expect(await hf.cache.has('user:7')).toBe(false)
  })

  it('[S3-27, S4-33] counts before it clears, and clears only what was typed', async () => {
    const { page } = await enter('#/clear')
    const pattern = page.getByRole('region', { name: 'By pattern' })
    expect(await pattern.getByRole('button', { name: 'Clear what matches' }).isDisabled()).toBe(true)
    await pattern.getByLabel('Pattern').fill('user:12?')
    await pattern.getByRole('button', { name: 'Count' }).click()
    await pattern.getByText('10 entries match.').waitFor()
    expect(await hf.cache.has('user:120')).toBe(true)
    await press(page, 'Clear what matches')
    await agree(page, 'Clear', 'user:12?')
    await told(page, '10 entries dropped.')
    expect(await hf.cache.has('user:120')).toBe(false)

    const tag = page.getByRole('region', { name: 'By tag' })
    await tag.getByRole('button', { name: 'products|products' }).click()
    await tag.getByRole('button', { name: 'Count' }).click()
    await tag.getByText('1 entry carries it.').waitFor()
    await press(page, 'Invalidate')
    await agree(page, 'Invalidate', 'products|products')
    await told(page, 'The tag products|products is invalidated.')
    expect(await hf.cache.namespace('products').has('p1')).toBe(false)

    await press(page, 'Clear everything')
    await agree(page, 'Clear everything', 'shop')
    await told(page, 'The cache is empty.')
    expect(await hf.cache.has('user:1')).toBe(false)
  })

  it('shows who is denied most and what they have left, and gives it back', async () => {
    const { page } = await enter('#/limits')
    await row(page, '3/1h').first().waitFor()
    await press(page, 'user:42')
    await row(page, '0 of 3').waitFor()
    await press(page, 'Reset')
    await agree(page, 'Reset')
    await told(page, 'starts again')
    await row(page, '3 of 3').waitFor()
    expect((await hf.limiter('chat', '3/hour').consume({ user: '42' })).allowed).toBe(true)
  })

  it('shows a lock with its holder, fencing token and queue, and takes it away when its name is typed', async () => {
    const { page } = await enter('#/locks')
    const lock = row(page, 'plan:november')
    await lock.waitFor()
    expect(await lock.textContent()).toMatch(/\d{13,}/)
    await press(page, 'Release plan:november')
    await agree(page, 'Release', 'plan:november')
    await told(page, /taken away/)
  })

  it('shows how runs ended, and lets a failed one run again', async () => {
    const { page } = await enter('#/once')
    await row(page, 'invoice:paid').getByText('done').waitFor()
    await row(page, 'invoice:broken').getByText('failed').waitFor()
    await press(page, 'Run again: invoice:broken')
    await agree(page, 'Run again')
    await told(page, 'Resolved')
    expect(await hf.once('invoice:broken', () => 'second try')).toBe('second try')
  })

  it('lists sessions without their ids or values, and ends one or all of a user', async () => {
    const { page } = await enter('#/sessions')
    await page.getByLabel('User').fill('ada')
    await press(page, 'Search')
    await page.getByRole('heading', { name: 'Sessions of ada in web' }).waitFor()
    await expect.poll(() => page.getByRole('row').count()).toBe(3)
    expect(await page.content()).not.toContain('book')
    await page
      .getByRole('button', { name: /^End session/ })
      .first()
      .click()
    await agree(page, 'End session')
    await told(page, '1 session ended.')
    await press(page, 'End all of this user')
    await agree(page, 'End all', 'ada')
    await told(page, /sessions? of ada ended/)
    expect(await hf.sessions('web').listByUser('ada')).toEqual([])
    expect(await hf.sessions('web').listByUser('grace')).toHaveLength(1)
  })

  it('shows tokens by fingerprint, never themselves, and puts one away', async () => {
    const { page } = await enter('#/tokens')
    await row(page, 'shop-client').getByText('valid', { exact: true }).waitFor()
    for (const secret of idp.secrets()) expect(await page.content()).not.toContain(secret)
    await page.getByRole('button', { name: /^Invalidate / }).click()
    await agree(page, 'Invalidate')
    await told(page, 'The token is put away.')
  })

  it('shows queues and their dead letters; replays, drops, pauses, resumes', async () => {
    const { page } = await enter('#/queues')
    await page.getByRole('link', { name: '3 dead letters of mails' }).click()
    await expect.poll(() => row(page, 'no receiver').count()).toBe(3)
    await row(page, 'no receiver').first().getByText('Show').click()
    await page.getByText('[redacted]').first().waitFor()
    expect(await page.content()).not.toContain('enchantress')
    await row(page, 'no receiver').first().getByRole('button', { name: /^Drop/ }).click()
    await agree(page, 'Drop')
    await told(page, 'Dropped.')
    await expect.poll(() => row(page, 'no receiver').count()).toBe(2)

    await press(page, 'Pause mails')
    await agree(page, 'Pause')
    await told(page, 'mails is paused')
    await press(page, 'Replay all')
    await agree(page, 'Replay all', 'mails')
    await told(page, '2 messages replayed.')
    await page.getByText('No dead letters').waitFor()
    await press(page, 'Resume mails')
    await told(page, 'mails runs again')
    await page.getByRole('link', { name: '2 dead letters of mails' }).waitFor()
  })

  it('[S4-28, S3-34] shows the server, its connections, what the doctor finds, and slow commands', async () => {
    await redis.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '0')
    await hf.cache.get('user:1')
    await redis.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '10000')
    const { page } = await enter('#/redis')
    await page
      .locator('.stat')
      .filter({ hasText: 'Version' })
      .getByText(/^\d+\.\d+\.\d+$/)
      .waitFor()
    await row(page, 'ready').first().waitFor()
    await page.locator('.score').filter({ hasText: /\d+ %/ }).waitFor()
    await page.getByRole('region', { name: 'Slow commands' }).getByRole('row').nth(1).waitFor()
  })

  it('shows who did what, without a reload', async () => {
    const { page } = await enter('#/audit')
    await row(page, 'cache.reveal').getByText('eve (enterprise)').waitFor()
    await fetch(`${server.page}api/v1/cache/key/absent-one`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${ADMIN}` },
    })
    await row(page, 'absent-one').waitFor()
  })

  it('[S3-5] offers a role what it includes, and says what it does not', async () => {
    const { page } = await enter('#/keys', {}, OPERATOR)
    await page.getByText('Not included in your role').waitFor()
    await page.getByText('You are signed in as business').waitFor()
    await page
      .getByRole('link', { name: /^Audit/ })
      .getByText('no access')
      .waitFor()
    await page.getByRole('link', { name: 'Redis' }).click()
    await page.locator('.stat').filter({ hasText: 'Version' }).waitFor()
    expect(await page.getByRole('region', { name: 'Slow commands' }).count()).toBe(0)
  })

  it('says so to somebody whose role includes nothing', async () => {
    const { page } = await enter('#/', {}, NOBODY)
    await page.getByText('Not included in your role').waitFor()
    expect(await page.getByText('no access').count()).toBe(VIEWS.length)
    await press(page, 'Sign out')
    await page.getByLabel('Token').waitFor()
  })

  it('has words for what is empty, in every view', async () => {
    const { page } = await browser.visit(plain.page)
    const said: Readonly<Record<string, string>> = {
      Overview: 'nothing asked in this minute',
      Keys: 'No key matches',
      Limits: 'Nobody was denied',
      Locks: 'Nothing is locked',
      'Run once': 'No records',
      Queues: 'No queues',
      Sessions: 'No session stores',
      'OAuth tokens': 'No tokens',
      Redis: 'No connections',
      Audit: 'Nothing yet',
    }
    for (const [name, text] of Object.entries(said)) {
      await page.getByRole('link', { name, exact: true }).click()
      await page.getByText(text).first().waitFor()
    }
    await page.evaluate("location.hash = '#/nowhere'")
    await page.getByText('Nothing is here').waitFor()
  })

  it('shows a cache that is switched off as off, not as 0 %', async () => {
    const off = holdfast({ cache: { enabled: false } })
    const admin = await serve({ holdfast: off, dashboard: built.directory })
    try {
      const { page } = await browser.visit(admin.page)
      await page.getByText('The cache is off').waitFor()
      const rate = page.locator('.stat').filter({ hasText: 'Hit rate' }).locator('.stat-value')
      expect(await rate.textContent()).toBe('off')
    } finally {
      await browser.leave()
      await admin.close()
      await off.close()
    }
  })

  it('has no fault that axe finds, light and dark, and fits into 360 pixels, in every view and with a question open', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const visit = await enter('#/', { colorScheme })
      const { page } = visit
      // All that can be another in the dark are the colours.
      const other = colorScheme === 'dark' ? 'colours' : undefined
      const look = async (name: string) => {
        expect([colorScheme, name, await visit.faults(other)]).toEqual([colorScheme, name, []])
        await page.setViewportSize({ width: 360, height: 740 })
        await expect.poll(() => visit.scrollsSideways(), { message: name }).toBe(false)
        await page.setViewportSize({ width: 1280, height: 800 })
      }
      for (const name of VIEWS) {
        await page.getByRole('link', { name, exact: true }).click()
        await page.getByRole('heading', { name, exact: true, level: 1 }).waitFor()
        await expect.poll(() => page.locator('.skeleton').count()).toBe(0)
        await look(name)
      }
      await page.evaluate("location.hash = '#/limits?name=chat&subject=user:42'")
      await press(page, 'Reset')
      await look('a question')
    }
  })

  it('has no fault that axe finds at the door', async () => {
    const visit = await browser.visit(server.page, {}, REFUSED)
    await visit.page.getByLabel('Token').waitFor()
    expect(await visit.faults()).toEqual([])
  })

  it('is worked by keyboard alone', async () => {
    const { page } = await enter()
    const focused = () =>
      page.evaluate<string>(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()",
      )
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.tagName')).toBe('MAIN')
    await page.keyboard.press('Shift+Tab')
    for (let i = 0; i < VIEWS.length && (await focused()) !== 'Locks'; i++)
      await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Locks' }).waitFor()
    await expect.poll(focused).toBe('Locks')
    await page.keyboard.press('Tab')
    await page.keyboard.type('nothing-of-that-name')
    await page.keyboard.press('Enter')
    await page.getByText('Nothing is locked').waitFor()

    await page.getByRole('link', { name: 'Limits' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Limits', exact: true }).waitFor()
    await expect.poll(focused).toBe('Limits')
    await page.evaluate("location.hash = '#/limits?name=chat&subject=user:42'")
    await page.getByRole('button', { name: 'Reset' }).focus()
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Cancel')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    await expect.poll(focused).toBe('Reset')
  })

  it('follows the system between light and dark, and stays as it is told', async () => {
    const { page } = await enter('#/', { colorScheme: 'light' })
    const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    const light = await ground()
    await page.emulateMedia({ colorScheme: 'dark' })
    const dark = await ground()
    expect(dark).not.toBe(light)
    await press(page, 'Theme: Auto')
    await page.reload()
    await page.getByRole('button', { name: 'Theme: Light' }).waitFor()
    expect(await ground()).toBe(light)
  })

  it('opens its navigation where it is narrow, and closes it with a choice', async () => {
    const { page } = await enter('#/', { viewport: { width: 360, height: 740 } })
    const keys = page.getByRole('link', { name: 'Keys' })
    expect(await keys.isVisible()).toBe(false)
    await press(page, 'Menu')
    await keys.click()
    await page.getByRole('heading', { name: 'Keys', exact: true }).waitFor()
    expect(await keys.isVisible()).toBe(false)
  })

  it('says that the server is gone, and goes on by itself when it is back', async () => {
    const port = Number(new URL(server.page).port)
    const { page } = await enter('#/', {}, ADMIN, /Failed to load resource|ERR_/)
    await page.locator('.live').filter({ hasText: 'Live' }).waitFor()
    await server.close()
    await page.getByText('The server does not answer').waitFor()
    server = await serve({ holdfast: hf, tokens: TOKENS, dashboard: built.directory, port })
    await page.locator('.live').filter({ hasText: 'Live' }).waitFor({ timeout: 30_000 })
    await page.getByText('All is well').waitFor()
  })

  it('[S3-34] says that Redis is gone, and that it is back', async () => {
    const { page } = await enter('#/', {}, ADMIN, REFUSED)
    await page.getByText('All is well').waitFor()
    await redis.kill()
    await hf.cache.get('user:1').catch(() => undefined)
    await page.getByText('Degraded: the application runs').waitFor()
    await redis.restart()
    await page.getByText('All is well').waitFor({ timeout: 30_000 })
  })
})
