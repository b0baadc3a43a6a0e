import type { LimiterAnswer } from '../../../src/admin/answers/limits.ts'
import { go, place } from '../api/place.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { count, NOTHING } from '../parts/format.ts'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'
import { SubjectCard } from './limit-subject.tsx'

const EVERY_MS = 5_000

/** Who is held back, by which rule, and what they have left. */
export function Limits() {
  const found = useResource<readonly LimiterAnswer[]>('limits', { everyMs: EVERY_MS })
  return (
    <View title="Limits" about="Counts of the last hour. Looking takes nothing from anybody's limit.">
      <Shown of={found} what="limits">
        {(limiters) =>
          limiters.length === 0 ? (
            <Empty title="No limits in use">A limiter shows here from its first use in this process.</Empty>
          ) : (
            <>
              <Card title="Limiters">
                <Limiters limiters={limiters} />
              </Card>
              <SubjectCard
                limiters={limiters.filter(({ kind }) => kind === 'limiter').map(({ name }) => name)}
                reload={found.reload}
              />
              <TopDenied limiters={limiters} />
            </>
          )
        }
      </Shown>
    </View>
  )
}

function Limiters({ limiters }: { readonly limiters: readonly LimiterAnswer[] }) {
  return (
    <Table
      label="Limiters"
      rows={limiters}
      keyOf={({ kind, name }) => `${kind} ${name}`}
      columns={[
        {
          head: 'Name',
          cell: ({ name, enabled, kind }) => (
            <span class="badges">
              {name}
              {kind !== 'limiter' && <Badge>{kind}</Badge>}
              {!enabled && <Badge tone="warn">off</Badge>}
            </span>
          ),
        },
        { head: 'Limits', cell: ({ limits }) => limits.join(', ') },
        { head: 'Algorithm', cell: ({ algorithm }) => algorithm },
        { head: 'Allowed', kind: 'number', cell: ({ allowed }) => count(allowed) },
        {
          head: 'Denied',
          kind: 'number',
          cell: ({ denied }) => <span class={denied > 0 ? 'tone-warn' : ''}>{count(denied)}</span>,
        },
        { head: 'Without Redis', kind: 'number', cell: ({ degraded }) => count(degraded) },
        { head: 'Shadow', kind: 'number', cell: ({ shadow }) => count(shadow) },
      ]}
    />
  )
}

function TopDenied({ limiters }: { readonly limiters: readonly LimiterAnswer[] }) {
  const rows = limiters
    .flatMap(({ name, topDenied }) => topDenied.map((subject) => ({ name, ...subject })))
    .sort((a, b) => b.denied - a.denied)
  const { query } = place.value
  return (
    <Card title="Most often denied" note="Approximate, of the last hour.">
      {rows.length === 0 ? (
        <Empty title="Nobody was denied" />
      ) : (
        <Table
          label="Most often denied"
          rows={rows}
          keyOf={({ name, subject }) => `${name} ${subject}`}
          chosen={({ name, subject }) => query.get('name') === name && query.get('subject') === subject}
          columns={[
            {
              head: 'Subject',
              cell: ({ name, subject }) => (
                <button type="button" class="link mono" onClick={() => go('limits', { name, subject })}>
                  {subject || NOTHING}
                </button>
              ),
            },
            { head: 'Limiter', cell: ({ name }) => name },
            { head: 'Denied', kind: 'number', cell: ({ denied }) => count(denied) },
            { head: 'Last', cell: ({ lastAt }) => <When at={lastAt} /> },
          ]}
        />
      )}
    </Card>
  )
}
