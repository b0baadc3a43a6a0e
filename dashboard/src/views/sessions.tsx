import { useState } from 'preact/hooks'
import type { SessionAnswer, SessionsAnswer, SessionsRevoked } from '../../../src/admin/answers/sessions.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { go, place } from '../api/place.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { confirm } from '../parts/confirm.tsx'
import { Choice, Field } from '../parts/field.tsx'
import { count, NOTHING, plural } from '../parts/format.ts'
import { Pager, useCursor } from '../parts/pages.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'

const PAGE = 50

/** Who is signed in, and how to sign them out. Never what their sessions hold, and never their ids. */
export function Sessions() {
  const { query } = place.value
  const store = query.get('store') ?? undefined
  const user = query.get('user') ?? undefined
  const at = useCursor()
  const found = useResource<SessionsAnswer>('sessions', {
    query: { store, user, limit: PAGE, cursor: at.cursor },
    onward: ({ sessions, cursor }) => (sessions.length === 0 ? cursor : null),
    keep: true,
  })
  return (
    <View
      title="Sessions"
      about="Sessions by store. Ids are shown as hashes and fields by name: what a session holds is its user's."
    >
      <Shown of={found} what="sessions">
        {(data) => {
          const first = data.stores[0]
          if (first === undefined) {
            return <Empty title="No session stores">A store shows here once this process has made it.</Empty>
          }
          const chosen = store ?? first.name
          return (
            <>
              <Search stores={data.stores} store={chosen} user={user ?? ''} at={at} />
              <Card
                title={user === undefined ? `Sessions of ${chosen}` : `Sessions of ${user} in ${chosen}`}
                actions={
                  user !== undefined &&
                  may('sessions.revoke') && <RevokeUser store={chosen} user={user} reload={found.reload} />
                }
              >
                <Rows data={data} reload={found.reload} />
                <Pager at={at} next={data.cursor} note={`Page ${at.page}`} />
              </Card>
            </>
          )
        }}
      </Shown>
    </View>
  )
}

interface SearchProps {
  readonly stores: SessionsAnswer['stores']
  readonly store: string
  readonly user: string
  readonly at: ReturnType<typeof useCursor>
}

function Search({ stores, store, user, at }: SearchProps) {
  const [text, setText] = useState(user)
  const show = (name: string, of: string) => {
    at.restart()
    go('sessions', { store: name, user: of.trim() })
  }
  return (
    <search>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault()
          show(store, text)
        }}
      >
        <Choice
          label="Store"
          value={store}
          options={stores.map(
            ({ name, count: n, truncated }) =>
              [name, `${name} (${truncated ? 'at least ' : ''}${count(n)})`] as const,
          )}
          onChange={(name) => show(name, text)}
        />
        <Field label="User" type="search" value={text} onInput={setText} grow />
        <button type="submit" class="button">
          Search
        </button>
      </form>
    </search>
  )
}

function Rows({
  data: { sessions },
  reload,
}: {
  readonly data: SessionsAnswer
  readonly reload: () => void
}) {
  if (sessions.length === 0) return <Empty title="No sessions here" />
  const revoke = ({ store, idHash }: SessionAnswer) =>
    confirm({
      title: 'End this session?',
      body: <p>Its next request is that of a stranger.</p>,
      verb: 'End session',
      run: async () => {
        await act(
          () => ask<SessionsRevoked>(`sessions/${pathOf(store, idHash)}`, { method: 'DELETE' }),
          ({ revoked }) => `${plural(revoked, 'session')} ended.`,
        )
        reload()
      },
    })
  const columns: readonly Column<SessionAnswer>[] = [
    { head: 'Session', cell: ({ idHash }) => <span class="mono">{idHash.slice(0, 12)}</span> },
    { head: 'User', cell: ({ user }) => user ?? NOTHING },
    { head: 'Created', cell: ({ createdAt }) => <When at={createdAt} /> },
    { head: 'Last seen', cell: ({ lastSeenAt }) => <When at={lastSeenAt} /> },
    { head: 'Ends', cell: ({ expiresAt }) => <When at={expiresAt} /> },
    { head: 'Fields', cell: ({ fields }) => (fields.length === 0 ? NOTHING : fields.join(', ')) },
    {
      head: 'Actions',
      kind: 'act',
      cell: (session) =>
        may('sessions.revoke') && (
          <button
            type="button"
            class="button"
            data-kind="danger"
            data-size="small"
            aria-label={`End session ${session.idHash.slice(0, 12)}`}
            onClick={() => revoke(session)}
          >
            End
          </button>
        ),
    },
  ]
  return (
    <Table
      label="Sessions"
      rows={sessions}
      keyOf={({ store, idHash }) => `${store} ${idHash}`}
      columns={columns}
    />
  )
}

interface RevokeUserProps {
  readonly store: string
  readonly user: string
  readonly reload: () => void
}

function RevokeUser({ store, user, reload }: RevokeUserProps) {
  const revoke = () =>
    confirm({
      title: `End all sessions of ${user}?`,
      body: <p>Everywhere they are signed in, the next request is that of a stranger.</p>,
      verb: 'End all',
      type: user,
      run: async () => {
        await act(
          () => ask<SessionsRevoked>(`sessions/${pathOf(store)}/users/${pathOf(user)}`, { method: 'DELETE' }),
          ({ revoked }) => `${plural(revoked, 'session')} of ${user} ended.`,
        )
        reload()
      },
    })
  return (
    <button type="button" class="button" data-kind="danger" onClick={revoke}>
      End all of this user
    </button>
  )
}
