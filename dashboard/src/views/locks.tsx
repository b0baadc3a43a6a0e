import { useState } from 'preact/hooks'
import type { LockAnswer, LockReleased, LocksAnswer } from '../../../src/admin/answers/locks.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { confirm } from '../parts/confirm.tsx'
import { count, NOTHING, plural, span } from '../parts/format.ts'
import { Pager, useCursor } from '../parts/pages.tsx'
import { PatternForm } from '../parts/pattern-form.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'

const PAGE = 50
const EVERY_MS = 3_000

/** Who holds what, since when, and who waits for it. */
export function Locks() {
  const [pattern, setPattern] = useState('*')
  const at = useCursor()
  const found = useResource<LocksAnswer>('locks', {
    query: { pattern, limit: PAGE, cursor: at.cursor },
    onward: ({ locks, cursor }) => (locks.length === 0 ? cursor : null),
    everyMs: EVERY_MS,
    keep: true,
  })
  const release = ({ name, holders }: LockAnswer) =>
    confirm({
      title: 'Take this lock away?',
      body: (
        <p class="wrap">
          {plural(holders, 'holder')} of <code>{name}</code> may still be at work: only a fencing token keeps
          a late write out. Do this when the holder is known to be dead.
        </p>
      ),
      verb: 'Release',
      type: name,
      run: async () => {
        await act(
          () => ask<LockReleased>(`locks/${pathOf(name)}`, { method: 'DELETE', query: { confirm: name } }),
          ({ released }) => `${plural(released, 'lease')} taken away.`,
        )
        found.reload()
      },
    })
  return (
    <View title="Locks" about="Locks, semaphores and read-write locks that are held or waited for just now.">
      <PatternForm
        pattern={pattern}
        search={(text) => {
          setPattern(text)
          at.restart()
        }}
      />
      <Card title="Held or waited for">
        <Shown of={found} what="locks">
          {({ locks, cursor }) =>
            locks.length === 0 && at.page === 1 && cursor === undefined ? (
              <Empty title="Nothing is locked">
                A lock shows here while somebody holds it or waits for it.
              </Empty>
            ) : (
              <>
                <Table
                  label="Locks"
                  rows={locks}
                  keyOf={({ name, kind, mode, holder }) => `${kind} ${name} ${mode} ${holder}`}
                  columns={columns(release)}
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

function columns(release: (lock: LockAnswer) => void): readonly Column<LockAnswer>[] {
  return [
    { head: 'Name', cell: ({ name }) => <span class="mono">{name}</span> },
    {
      head: 'Kind',
      cell: ({ kind, mode }) => (
        <Badge>{mode === 'exclusive' || mode === 'permit' ? kind : `${kind}, ${mode}`}</Badge>
      ),
    },
    { head: 'Holder', cell: ({ holder }) => <span class="mono">{holder ?? NOTHING}</span> },
    { head: 'Fencing token', kind: 'number', cell: ({ fencingToken }) => fencingToken ?? NOTHING },
    {
      head: 'Held',
      kind: 'number',
      cell: ({ heldMs, holder }) => (holder === null ? NOTHING : span(heldMs / 1_000)),
    },
    { head: 'Lease left', kind: 'number', cell: ({ leaseLeftMs }) => span(leaseLeftMs / 1_000) },
    {
      head: 'Waiting',
      kind: 'number',
      cell: ({ waiters }) => <span class={waiters > 0 ? 'tone-warn' : ''}>{count(waiters)}</span>,
    },
    {
      head: 'Actions',
      kind: 'act',
      cell: (lock) =>
        may('locks.release') &&
        lock.holders > 0 && (
          <button
            type="button"
            class="button"
            data-kind="danger"
            data-size="small"
            aria-label={`Release ${lock.name}`}
            onClick={() => release(lock)}
          >
            Release
          </button>
        ),
    },
  ]
}
