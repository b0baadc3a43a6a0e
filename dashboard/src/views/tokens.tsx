import type { TokenAnswer, TokenInvalidated } from '../../../src/admin/answers/tokens.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Badge, type Tone } from '../parts/badge.tsx'
import { confirm } from '../parts/confirm.tsx'
import { NOTHING } from '../parts/format.ts'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'

const EVERY_MS = 5_000
const TONES: Readonly<Record<TokenAnswer['state'], Tone>> = {
  valid: 'good',
  absent: 'plain',
  'needs-reauth': 'bad',
  paused: 'warn',
}
const WORDS: Readonly<Record<TokenAnswer['state'], string>> = {
  valid: 'valid',
  absent: 'none yet',
  'needs-reauth': 'needs a new grant',
  paused: 'paused after a failure',
}

/** Which tokens of other people's APIs are in use, and until when. Never a token. */
export function Tokens() {
  const found = useResource<readonly TokenAnswer[]>('tokens', { everyMs: EVERY_MS })
  const invalidate = (name: string) =>
    confirm({
      title: 'Put this token away?',
      body: <p>The next call fetches a new one, once for all processes.</p>,
      verb: 'Invalidate',
      run: async () => {
        await act(
          () => ask<TokenInvalidated>(`tokens/${pathOf(name)}`, { method: 'DELETE' }),
          ({ invalidated }) => (invalidated ? 'The token is put away.' : 'There was no token.'),
        )
        found.reload()
      },
    })
  return (
    <View
      title="OAuth tokens"
      about="Tokens for other services, by client. Shown by fingerprint, never themselves."
    >
      <Card title="Clients">
        <Shown of={found} what="tokens">
          {(rows) =>
            rows.length === 0 ? (
              <Empty title="No tokens">A client shows here once this process has made it.</Empty>
            ) : (
              <Table
                label="Tokens"
                rows={rows}
                keyOf={({ name }) => name}
                columns={[
                  { head: 'Name', cell: ({ name }) => <span class="mono">{name}</span> },
                  { head: 'State', cell: ({ state }) => <Badge tone={TONES[state]}>{WORDS[state]}</Badge> },
                  {
                    head: 'Fingerprint',
                    cell: ({ fingerprint }) => <span class="mono">{fingerprint ?? NOTHING}</span>,
                  },
                  { head: 'Expires', cell: ({ expiresAt }) => <When at={expiresAt} /> },
                  { head: 'Refreshed', cell: ({ refreshedAt }) => <When at={refreshedAt} /> },
                  { head: 'Not asked before', cell: ({ refusedUntil }) => <When at={refusedUntil} /> },
                  {
                    head: 'Actions',
                    kind: 'act',
                    cell: ({ name, state }) =>
                      may('tokens.drop') &&
                      state === 'valid' && (
                        <button
                          type="button"
                          class="button"
                          data-kind="danger"
                          data-size="small"
                          aria-label={`Invalidate ${name}`}
                          onClick={() => invalidate(name)}
                        >
                          Invalidate
                        </button>
                      ),
                  },
                ]}
              />
            )
          }
        </Shown>
      </Card>
    </View>
  )
}
