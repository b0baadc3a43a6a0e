import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { holdfast } from '../../src/holdfast.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { known, namesIn } from './promql.ts'

interface Rule {
  alert: string
  expr: string
  for?: string
  labels: Record<string, string>
  annotations: Record<string, string>
}
interface RuleFile {
  groups: { name: string; rules: Rule[] }[]
}
interface Panel {
  title: string
  type: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr: string; legendFormat: string; refId: string }[]
}

const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8')
const { groups } = parse(read('prometheus/alerts.yaml'), { strict: true, uniqueKeys: true }) as RuleFile
const rules = groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(read('grafana/holdfast.json')) as { uid: string; panels: Panel[] }

async function series(): Promise<ReadonlyMap<string, readonly string[]>> {
  const hf = holdfast()
  const metrics = createMetrics({ holdfast: hf })
  const names = known(metrics.register)
  metrics.close()
  await hf.close()
  return names
}

describe('the parser', () => {
  it.each(['sum(rate(x[5m])', 'rate(x[5 minutes])', 'sum by namespace (x)', 'x{a=b}', ''])(
    'refuses %s',
    (query) => {
      expect(() => namesIn(query)).toThrow()
    },
  )
})

describe('the alert rules', () => {
  it('[S2-29] have the fields that promtool checks, and no other', () => {
    expect(Object.keys(parse(read('prometheus/alerts.yaml')))).toEqual(['groups'])
    expect(new Set(groups.map(({ name }) => name)).size).toBe(groups.length)
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
    for (const group of groups) expect(Object.keys(group).sort()).toEqual(['name', 'rules'])
    for (const rule of rules) {
      expect(['alert', 'annotations', 'expr', 'for', 'labels']).toEqual(
        expect.arrayContaining(Object.keys(rule)),
      )
      expect(rule.alert).toMatch(/^Holdfast[A-Za-z]+$/)
      expect(rule.for ?? '1m').toMatch(/^\d+[smhd]$/)
      expect(['info', 'warning', 'critical']).toContain(rule.labels.severity)
      expect(rule.annotations.summary?.length).toBeGreaterThan(20)
    }
  })

  it('[S2-29, S3-44] parse, and name series and labels that exist', async () => {
    const names = await series()
    for (const { alert, expr, annotations } of rules) {
      const { metrics, labels } = namesIn(expr)
      expect(metrics.length, alert).toBeGreaterThan(0)
      for (const metric of metrics) expect([...names.keys()], alert).toContain(metric)
      const have = metrics.flatMap((metric) => names.get(metric) ?? [])
      for (const label of labels) expect(have, alert).toContain(label)
      const shown = [
        ...Object.values(annotations)
          .join(' ')
          .matchAll(/\$labels\.(\w+)/g),
      ].map(([, name]) => name)
      const kept = /\bby \(/.test(expr)
        ? [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(', '))
        : have
      for (const label of shown) expect(kept, alert).toContain(label)
    }
  })

  it('[S3-30, S3-31, S3-32, S1-25, B11] watch hit rate, memory, growth, queues and evictions of the data role', () => {
    const all = rules.map(({ expr }) => expr).join('\n')
    expect(all).toMatch(/cache_hits_total[\s\S]*< 0\.7/)
    expect(all).toMatch(/holdfast_redis_memory_bytes\{kind="used"\}\)[\s\S]*> 0\.8/)
    expect(all).toContain('holdfast_redis_keys offset 1d')
    expect(all).toContain('holdfast_queue_oldest_seconds')
    expect(all).toContain('holdfast_redis_removed_keys{role="data", why="evicted"}')
    expect(all).toContain('holdfast_cache_entries_total{fate="expired-unread"}')
  })
})

describe('the Grafana dashboard', () => {
  it('[S0-36, S0-37, S3-32, S3-33, S3-44] parses, names series and labels that exist, and leaves none out', async () => {
    const names = await series()
    const drawn = new Set<string>()
    for (const { title, targets = [] } of dashboard.panels) {
      for (const { expr, legendFormat } of targets) {
        const query = expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.+')
        const { metrics, labels } = namesIn(query)
        for (const metric of metrics) {
          expect([...names.keys()], title).toContain(metric)
          drawn.add(metric)
        }
        const have = metrics.flatMap((metric) => names.get(metric) ?? [])
        for (const label of labels) expect(have, title).toContain(label)
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(labels, title).toContain(label)
      }
    }
    const missing = [...names.keys()].filter((name) => !drawn.has(name) && !/_(?:sum|count)$/.test(name))
    expect(missing).toEqual(['holdfast_cache_hit_ratio'])
  })

  it('draws every panel where no other is', () => {
    const taken = new Set<string>()
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), title).toBe(false)
          taken.add(`${x} ${y}`)
        }
      }
    }
  })
})
