import type {
  DeadLetterAnswer,
  DeadLettersAnswer,
  DeadLettersChanged,
} from '../../../src/admin/answers/queues.ts'
import { may } from '../api/access.ts'
import { act, tell } from '../api/notices.ts'
import { ask, type Method, pathOf, type Query, Refusal } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { confirm } from '../parts/confirm.tsx'
import { count, NOTHING, plural } from '../parts/format.ts'
import { Pager, useCursor } from '../parts/pages.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { ValueTree } from '../parts/value-tree.tsx'
import { Card } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'

const PAGE = 20

interface DeadLettersProps {
  readonly queue: string
  readonly changed: () => void
}

/** Messages that nobody could handle: why, and what to do with each. */
export function DeadLetters({ queue, changed }: DeadLettersProps) {
  const path = `queues/${pathOf(queue)}/dead-letters`
  const at = useCursor()
  const found = useResource<DeadLettersAnswer>(path, {
    query: { limit: PAGE, cursor: at.cursor },
    keep: true,
  })
  const change = (below: string, method: Method, query?: Query) =>
    ask<DeadLettersChanged>(`${path}${below}`, { method, ...(query && { query }) })
  const reload = () => {
    found.reload()
    changed()
  }
  const replayAll = async () => {
    try {
      const { would_replay = 0 } = await change('/replay', 'POST', { dryRun: true })
      confirm({
        title: `Replay ${plural(would_replay, 'dead letter')}?`,
        body: <p>Each goes to the end of its queue and is handled again.</p>,
        verb: 'Replay all',
        type: queue,
        run: async () => {
          await act(
            () => change('/replay', 'POST'),
            ({ replayed = 0 }) => `${plural(replayed, 'message')} replayed.`,
          )
          reload()
        },
      })
    } catch (error) {
      tell(error instanceof Refusal ? error.message : String(error), 'bad')
    }
  }
  const replay = async ({ id }: DeadLetterAnswer) => {
    await act(
      () => change(`/${pathOf(id)}/replay`, 'POST'),
      () => 'Replayed.',
    )
    reload()
  }
  const drop = ({ id }: DeadLetterAnswer) =>
    confirm({
      title: 'Drop this message?',
      body: <p>It was acknowledged once, and is gone after this.</p>,
      verb: 'Drop',
      run: async () => {
        await act(
          () => change(`/${pathOf(id)}`, 'DELETE'),
          () => 'Dropped.',
        )
        reload()
      },
    })
  return (
    <Card
      title={`Dead letters of ${queue}`}
      actions={
        may('letters.change') &&
        found.data !== undefined &&
        found.data.total > 0 && (
          <button type="button" class="button" onClick={replayAll}>
            Replay all
          </button>
        )
      }
    >
      <Shown of={found} what="dead letters">
        {({ letters, total, cursor }) =>
          total === 0 ? (
            <Empty title="No dead letters">Every message was handled, or still has tries left.</Empty>
          ) : (
            <>
              <Table
                label="Dead letters"
                rows={letters}
                keyOf={({ id }) => id}
                columns={columns(replay, drop)}
              />
              <Pager at={at} next={cursor} note={`Page ${at.page}, ${plural(total, 'dead letter')} in all`} />
            </>
          )
        }
      </Shown>
    </Card>
  )
}

type Action = (letter: DeadLetterAnswer) => unknown

function columns(replay: Action, drop: Action): readonly Column<DeadLetterAnswer>[] {
  return [
    { head: 'Id', cell: ({ id }) => <span class="mono">{id}</span> },
    { head: 'Key', cell: ({ key }) => key ?? NOTHING },
    { head: 'Died', cell: ({ diedAt }) => <When at={diedAt} /> },
    { head: 'Attempts', kind: 'number', cell: ({ attempts }) => count(attempts) },
    { head: 'Reason', cell: ({ reason }) => reason },
    {
      head: 'Message',
      cell: ({ body, id }) => (
        <details>
          <summary aria-label={`Message ${id}`}>Show</summary>
          <ValueTree value={body} />
        </details>
      ),
    },
    {
      head: 'Actions',
      kind: 'act',
      cell: (letter) =>
        may('letters.change') && (
          <span class="actions">
            <button
              type="button"
              class="button"
              data-size="small"
              aria-label={`Replay ${letter.id}`}
              onClick={() => replay(letter)}
            >
              Replay
            </button>
            <button
              type="button"
              class="button"
              data-kind="danger"
              data-size="small"
              aria-label={`Drop ${letter.id}`}
              onClick={() => drop(letter)}
            >
              Drop
            </button>
          </span>
        ),
    },
  ]
}
