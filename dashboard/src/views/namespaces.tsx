import { useState } from 'preact/hooks'
import type { CacheNamespace } from '../../../src/admin/answers/cache.ts'
import { hrefOf } from '../api/place.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { Bars } from '../parts/bars.tsx'
import { bytes, count, percent, span } from '../parts/format.ts'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'

const EVERY_MS = 10_000
export const nameOf = (namespace: string): string => (namespace === '' ? '(root)' : namespace)

/** What each part of the cache brings: how often it answers, what it weighs, how long its entries live. */
export function Namespaces() {
  const found = useResource<readonly CacheNamespace[]>('cache/namespaces', { everyMs: EVERY_MS })
  const [chosen, choose] = useState<string>()
  return (
    <View
      title="Namespaces"
      about="Hits and misses of this process since its start. An entry that expired unread was stored for nobody: its life is too short, or nobody needs it."
    >
      <Shown of={found} what="namespaces">
        {(rows) => {
          if (rows.length === 0)
            return <Empty title="Nothing is cached yet">The first entry makes the first namespace.</Empty>
          const row = rows.find(({ namespace }) => namespace === chosen) ?? rows[0]!
          return (
            <>
              <Card title="All namespaces">
                <Rows rows={rows} chosen={row.namespace} choose={choose} />
              </Card>
              <Lives row={row} />
            </>
          )
        }}
      </Shown>
    </View>
  )
}

interface RowsProps {
  readonly rows: readonly CacheNamespace[]
  readonly chosen: string
  readonly choose: (namespace: string) => void
}

function Rows({ rows, chosen, choose }: RowsProps) {
  return (
    <Table
      label="Namespaces"
      rows={rows}
      keyOf={({ namespace }) => namespace}
      chosen={({ namespace }) => namespace === chosen && rows.length > 1}
      columns={[
        {
          head: 'Namespace',
          cell: ({ namespace }) => (
            <button
              type="button"
              class="link"
              aria-pressed={namespace === chosen}
              onClick={() => choose(namespace)}
            >
              {nameOf(namespace)}
            </button>
          ),
        },
        {
          head: 'Hit rate',
          kind: 'number',
          cell: ({ enabled, hitRate }) => (enabled ? percent(hitRate) : <Badge>off</Badge>),
        },
        { head: 'Hits', kind: 'number', cell: ({ hits }) => count(hits) },
        { head: 'Misses', kind: 'number', cell: ({ misses }) => count(misses) },
        { head: 'Stale served', kind: 'number', cell: ({ staleServed }) => count(staleServed) },
        {
          head: 'Expired unread',
          kind: 'number',
          cell: ({ expiredUnreadShare }) => percent(expiredUnreadShare),
        },
        { head: 'Keys', kind: 'number', cell: ({ keys, sampled }) => `${sampled ? '≥ ' : ''}${count(keys)}` },
        {
          head: 'Bytes',
          kind: 'number',
          cell: ({ bytes: size, sampled }) => `${sampled ? '≈ ' : ''}${bytes(size)}`,
        },
      ]}
    />
  )
}

function Lives({ row }: { readonly row: CacheNamespace }) {
  const bars = row.ttlHistogram.map(({ underSeconds, keys }) => ({
    name: underSeconds === null ? 'no end' : `< ${span(underSeconds)}`,
    value: keys,
  }))
  const pattern = row.namespace === '' ? '*' : `${row.namespace}|*`
  return (
    <Card
      title={`What is left of life in ${nameOf(row.namespace)}`}
      note={
        row.sampled
          ? 'From a sample: there are more keys than a short look sees.'
          : 'All keys, by when they end.'
      }
      actions={
        <a class="button" data-size="small" href={hrefOf('keys', { pattern })}>
          Browse keys
        </a>
      }
    >
      <Bars label={`Keys of ${nameOf(row.namespace)} by remaining life`} bars={bars} />
    </Card>
  )
}
