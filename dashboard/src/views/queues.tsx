import type { QueueAnswer, QueueToggled } from '../../../src/admin/answers/queues.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { hrefOf, place } from '../api/place.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { confirm } from '../parts/confirm.tsx'
import { count, span } from '../parts/format.ts'
import { Permitted } from '../parts/permitted.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { DeadLetters } from './dead-letters.tsx'

const EVERY_MS = 3_000

/** What waits, what fails, and what nobody could handle. */
export function Queues() {
  const found = useResource<readonly QueueAnswer[]>('queues', { everyMs: EVERY_MS })
  const chosen = place.value.query.get('queue') ?? undefined
  return (
    <View
      title="Queues"
      about="Background writes: what is acknowledged and not yet applied. Nothing here is lost by looking."
    >
      <Shown of={found} what="queues">
        {(queues) =>
          queues.length === 0 ? (
            <Empty title="No queues">A queue shows here once this process has opened it.</Empty>
          ) : (
            <>
              <Card title="Queues in this process">
                <Table
                  label="Queues"
                  rows={queues}
                  keyOf={({ name }) => name}
                  chosen={({ name }) => name === chosen}
                  columns={columns(found.reload)}
                />
              </Card>
              {queues.some(({ name }) => name === chosen) && chosen !== undefined && (
                <Permitted to="letters.read">
                  <DeadLetters key={chosen} queue={chosen} changed={found.reload} />
                </Permitted>
              )}
            </>
          )
        }
      </Shown>
    </View>
  )
}

function columns(reload: () => void): readonly Column<QueueAnswer>[] {
  return [
    {
      head: 'Name',
      cell: ({ name, paused, error }) => (
        <span class="badges">
          {name}
          {paused && <Badge tone="warn">paused</Badge>}
          {error !== undefined && <Badge tone="bad">{error}</Badge>}
        </span>
      ),
    },
    {
      head: 'Kept',
      cell: ({ backend, durability }) => `${backend === 'embedded' ? 'local file' : 'BullMQ'}, ${durability}`,
    },
    { head: 'Waiting', kind: 'number', cell: ({ waiting }) => count(waiting) },
    { head: 'Active', kind: 'number', cell: ({ active }) => count(active) },
    { head: 'Delayed', kind: 'number', cell: ({ delayed }) => count(delayed) },
    { head: 'Oldest', kind: 'number', cell: ({ oldestSeconds }) => span(oldestSeconds) },
    { head: 'Spilled', kind: 'number', cell: ({ spill }) => count(spill) },
    {
      head: 'Partitions',
      kind: 'number',
      cell: ({ partitions }) => `${partitions.filter(({ owned }) => owned).length} of ${partitions.length}`,
    },
    {
      head: 'Dead letters',
      kind: 'number',
      cell: ({ name, failed }) => (
        <a href={hrefOf('queues', { queue: name })} aria-label={`${count(failed)} dead letters of ${name}`}>
          <span class={failed > 0 ? 'tone-bad' : ''}>{count(failed)}</span>
        </a>
      ),
    },
    {
      head: 'Actions',
      kind: 'act',
      cell: (queue) => may('queues.control') && <Toggle queue={queue} reload={reload} />,
    },
  ]
}

function Toggle({
  queue: { name, paused },
  reload,
}: {
  readonly queue: QueueAnswer
  readonly reload: () => void
}) {
  const word = paused ? 'resume' : 'pause'
  const toggle = async () => {
    await act(
      () => ask<QueueToggled>(`queues/${pathOf(name)}/${word}`, { method: 'POST' }),
      (now) =>
        now.paused ? `${name} is paused: adds are accepted, nothing is handled.` : `${name} runs again.`,
    )
    reload()
  }
  const askFirst = () =>
    paused
      ? void toggle()
      : confirm({
          title: `Pause ${name}?`,
          body: <p>Adds are still accepted; nothing is handled until it is resumed.</p>,
          verb: 'Pause',
          run: toggle,
        })
  return (
    <button
      type="button"
      class="button"
      data-size="small"
      aria-label={`${paused ? 'Resume' : 'Pause'} ${name}`}
      onClick={askFirst}
    >
      {paused ? 'Resume' : 'Pause'}
    </button>
  )
}
