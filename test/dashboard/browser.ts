/** A real browser for a whole file, and pages that may not complain. */
import { accessSync, constants, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const ARGUMENTS =
  '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Undefined: there is none on the PATH. */
export const executablePath = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** Runs in the page before anything else: what the policy refused, and how much the layout jumped. */
const WATCH = `
  window.violations = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.violations.push(event.violatedDirective + ' ' + event.blockedURI)
  })
  window.shifts = []
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value)
  }).observe({ type: 'layout-shift', buffered: true })
`

export interface Visit {
  readonly page: Page
  /** What axe has against the page as it is now, each as `rule: first place`. */
  faults(only?: 'colours'): Promise<string[]>
  /** Whether something sticks out to the right. */
  scrollsSideways(): Promise<boolean>
}

export class TestBrowser {
  readonly #browser: Browser
  readonly #complaints: string[] = []
  readonly #pages: Page[] = []

  private constructor(browser: Browser) {
    this.#browser = browser
  }

  static async launch(): Promise<TestBrowser> {
    return new TestBrowser(await chromium.launch({ executablePath, args: ARGUMENTS.split(' ') }))
  }

  /**
   * A visitor with a profile of their own. `expected`: what the console may say in this visit; `token`:
   * what this tab was signed in with before.
   */
  async visit(
    url: string,
    options: BrowserContextOptions = {},
    expected = /^$/,
    token?: string,
  ): Promise<Visit> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
    context.setDefaultTimeout(30_000)
    const page = await context.newPage()
    this.#pages.push(page)
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()) && !expected.test(message.text()))
        this.#complaints.push(message.text())
    })
    page.on('pageerror', (error) => this.#complaints.push(String(error)))
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(url).origin)) this.#complaints.push(`asked ${request.url()}`)
    })
    await page.addInitScript(WATCH)
    if (token) await page.addInitScript(`sessionStorage.setItem('holdfast-token', '${token}')`)
    await page.goto(url)
    return {
      page,
      faults: (only) => faultsOf(page, only),
      scrollsSideways: () => page.evaluate('document.documentElement.scrollWidth > innerWidth'),
    }
  }

  /** Ends all visits; answers what their pages complained of. */
  async leave(): Promise<string[]> {
    for (const page of this.#pages.splice(0)) {
      const violations = await page.evaluate<string[]>('window.violations').catch(() => [])
      this.#complaints.push(...violations)
      await page.context().close()
    }
    return this.#complaints.splice(0)
  }

  close(): Promise<void> {
    return this.#browser.close()
  }
}

interface Axe {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly { readonly target: unknown }[]
  }[]
}

async function faultsOf(page: Page, only?: 'colours'): Promise<string[]> {
  if (!(await page.evaluate<boolean>("'axe' in window"))) await page.evaluate(AXE)
  const options = {
    preload: false,
    resultTypes: ['violations'],
    ...(only && { runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } }),
  }
  const { violations } = await page.evaluate<Axe>(`axe.run(document, ${JSON.stringify(options)})`)
  return violations.map(({ id, nodes }) => `${id}: ${JSON.stringify(nodes[0]?.target)}`)
}
