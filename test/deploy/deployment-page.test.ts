import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { startRedis } from '../support/redis-server.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/40.deployment.md')
const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, text = '']) =>
  text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.replace(/\s+#.*$/, '')])),
)

describe('the page about deployment', () => {
  it('[S4-6, S4-14] gives commands that work: ping, set, get, del', async () => {
    const server = await startRedis()
    const said = commands
      .flatMap((line) => /redis-cli (.+)$/.exec(line)?.[1] ?? [])
      .map((command) =>
        execFileSync('redis-cli', ['-p', `${server.port}`, ...command.split(' ')], {
          encoding: 'utf8',
        }).trim(),
      )
    expect(said).toEqual(['PONG', 'OK', '1', '1'])
    await server.stop()
  })

  it('[S4-7, B24, B26] never tells anybody to run what takes more than was meant, or what blocks', () => {
    expect(commands.length).toBeGreaterThan(10)
    for (const command of commands) expect(command).not.toMatch(/FLUSH|KEYS|MONITOR|xargs|stop-writes/i)
    expect(page).toContain('holdfast clear --dry-run')
  })

  it('[S4-8, S1-9, S1-10, S4-38] says how to install without containers, and on which Windows build not to', () => {
    for (const word of ['WSL2', 'Memurai', 'brew install redis', 'apt install redis-server', '--port 6380']) {
      expect(page).toContain(word)
    }
    expect(page).toMatch(/MicrosoftArchive\/redis` are version 3\.0/)
    for (const tool of ['ss -ltnp', 'lsof -i', 'netstat -ano']) expect(page).toContain(tool)
  })

  it('names services, ports and rules as the files have them', () => {
    const { services } = parse(read('compose.yaml'), { merge: true }) as {
      services: Record<string, { ports?: string[] }>
    }
    for (const [, name = '', port = ''] of page.matchAll(/^\| `([a-z-]+)` \| `127\.0\.0\.1:(\d+)`/gm)) {
      expect(services[name]?.ports?.[0], name).toContain(port)
    }
    const rules = read('deploy/prometheus/alerts.yaml')
    expect(page).toContain(`${rules.match(/alert:/g)?.length} rules`)
    for (const [, alert = ''] of page.matchAll(/`(Holdfast[A-Za-z]+)`/g))
      expect(rules).toContain(`alert: ${alert}\n`)
  })
})
