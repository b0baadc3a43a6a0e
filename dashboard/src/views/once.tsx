import { useState } from 'preact/hooks'
import type {
  OnceAnswer,
  OnceRecordAnswer,
  OnceResolved,
  OnceVerdict,
} from '../../../src/admin/answers/once.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Badge, type Tone } from '../parts/badge.tsx'
import { confirm } from '../parts/confirm.tsx'
import { count, NOTHING } from '../parts/format.ts'
import { Pager, useCursor } from '../parts/pages.tsx'
import { PatternForm } from '../parts/pattern-form.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'

const PAGE = 50
const EVERY_MS = 5_000
const TONES: Readonly<Record<OnceRecordAnswer['state'], Tone>> = {
  running: 'accent',
  done: 'good',
  failed: 'bad',
  retryable: 'warn',
  indeterminate: 'bad',
}

/** What ran once, what runs, and what began and never said how it ended. */
export function OnceRecords() {
  const [pattern, setPattern] = useState('*')
  const at = useCursor()
  const found = useResource<OnceAnswer>('once', {
    query: { pattern, limit: PAGE, cursor: at.cursor },
    onward: ({ records, cursor }) => (records.length === 0 ? cursor : null),
    everyMs: EVERY_MS,
    keep: true,
  })
  return (
    <View
      title="Run once"
      about="Work that runs once per key. An indeterminate run began and never said how it ended: find out, then say it here."
    >
      <PatternForm
        pattern={pattern}
        search={(text) => {
          setPattern(text)
          at.restart()
        }}
      />
      <Card title="Records">
        <Shown of={found} what="records">
          {({ records, cursor }) =>
            records.length === 0 && at.page === 1 && cursor === undefined ? (
              <Empty title="No records">A run leaves a record for as long as its result is kept.</Empty>
            ) : (
              <>
                <Records records={records} reload={found.reload} />
                <Pager at={at} next={cursor} note={`Page ${at.page}`} />
              </>
            )
          }
        </Shown>
      </Card>
    </View>
  )
}

function Records({
  records,
  reload,
}: {
  readonly records: readonly OnceRecordAnswer[]
  readonly reload: () => void
}) {
  return (
    <Table
      label="Records"
      rows={records}
      keyOf={({ key }) => key}
      columns={[
        { head: 'Key', cell: ({ key }) => <span class="mono">{key}</span> },
        { head: 'State', cell: ({ state }) => <Badge tone={TONES[state]}>{state}</Badge> },
        { head: 'Started', cell: ({ startedAt }) => <When at={startedAt} /> },
        { head: 'Attempts', kind: 'number', cell: ({ attempts }) => count(attempts) },
        {
          head: 'Last step',
          cell: ({ step, steps }) => (step === undefined ? NOTHING : `${step} (${steps})`),
        },
        { head: 'Actions', kind: 'act', cell: (record) => <Resolve record={record} reload={reload} /> },
      ]}
    />
  )
}

const VERDICTS = {
  retry: ['Run again', 'The next call runs it again, from its last step.'],
  failed: ['Count as failed', 'Every later call gets an error, and nothing runs.'],
  done: ['Count as done', 'Every later call gets an empty result, and nothing runs.'],
} as const satisfies Record<OnceVerdict['as'], readonly [string, string]>

function Resolve({ record, reload }: { readonly record: OnceRecordAnswer; readonly reload: () => void }) {
  if (!may('once.resolve') || record.state === 'running' || record.state === 'done') return null
  const resolve = (as: OnceVerdict['as']) =>
    confirm({
      title: `${VERDICTS[as][0]}?`,
      body: (
        <p class="wrap">
          <code>{record.key}</code>: {VERDICTS[as][1]}
        </p>
      ),
      verb: VERDICTS[as][0],
      run: async () => {
        const verdict: OnceVerdict = as === 'failed' ? { as, error: 'resolved by an operator' } : { as }
        await act(
          () => ask<OnceResolved>(`once/${pathOf(record.key)}/resolve`, { method: 'POST', body: verdict }),
          () => `Resolved: ${VERDICTS[as][0].toLowerCase()}.`,
        )
        reload()
      },
    })
  const choices: readonly OnceVerdict['as'][] =
    record.state === 'indeterminate' ? ['retry', 'failed', 'done'] : ['retry']
  return (
    <span class="actions">
      {choices.map((as) => (
        <button
          key={as}
          type="button"
          class="button"
          data-size="small"
          aria-label={`${VERDICTS[as][0]}: ${record.key}`}
          onClick={() => resolve(as)}
        >
          {VERDICTS[as][0]}
        </button>
      ))}
    </span>
  )
}
