import { useEffect } from 'preact/hooks'
import type { AuditAnswer } from '../../../src/admin/answers/audit.ts'
import { auditCount } from '../api/live.ts'
import { useResource } from '../api/resource.ts'
import { Badge, type Tone } from '../parts/badge.tsx'
import { count, NOTHING } from '../parts/format.ts'
import { Pager, useCursor } from '../parts/pages.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'

const PAGE = 100
const TONES: Readonly<Record<AuditAnswer['entries'][number]['outcome'], Tone>> = {
  done: 'good',
  refused: 'warn',
  failed: 'bad',
}

/** Who did what, and who tried. */
export function Audit() {
  const at = useCursor()
  const found = useResource<AuditAnswer>('audit', { query: { limit: PAGE, cursor: at.cursor }, keep: true })
  const written = auditCount.value
  useEffect(() => {
    if (written > 0 && at.page === 1) found.reload()
  }, [written])
  return (
    <View
      title="Audit"
      about="Whatever changed or revealed something, and whatever was refused. Newest first; no values."
    >
      <Card title="Entries">
        <Shown of={found} what="the audit log" lines={8}>
          {({ entries, cursor }) =>
            entries.length === 0 && at.page === 1 ? (
              <Empty title="Nothing yet">
                The first thing that somebody clears, reveals or is refused stands here.
              </Empty>
            ) : (
              <>
                <Table
                  label="Audit log"
                  rows={entries}
                  keyOf={({ at: when, who, action, target }) => `${when} ${who} ${action} ${target}`}
                  columns={[
                    { head: 'When', cell: ({ at: when }) => <When at={when} /> },
                    { head: 'Who', cell: ({ who, edition }) => `${who} (${edition})` },
                    { head: 'What', cell: ({ action }) => <span class="mono">{action}</span> },
                    { head: 'To what', cell: ({ target }) => <span class="mono">{target || NOTHING}</span> },
                    {
                      head: 'Outcome',
                      cell: ({ outcome }) => <Badge tone={TONES[outcome]}>{outcome}</Badge>,
                    },
                    { head: 'How many', kind: 'number', cell: ({ count: n }) => count(n) },
                    { head: 'From', cell: ({ address }) => address ?? NOTHING },
                  ]}
                />
                <Pager at={at} next={cursor} note={`Page ${at.page}`} />
              </>
            )
          }
        </Shown>
      </Card>
    </View>
  )
}
