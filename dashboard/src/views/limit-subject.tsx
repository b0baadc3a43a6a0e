import { useEffect, useState } from 'preact/hooks'
import type { LimitReset, LimitSubject } from '../../../src/admin/answers/limits.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { go, place } from '../api/place.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { Meter } from '../parts/bars.tsx'
import { confirm } from '../parts/confirm.tsx'
import { Choice, Field } from '../parts/field.tsx'
import { count, span } from '../parts/format.ts'
import { Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card } from '../parts/view.tsx'

interface SubjectCardProps {
  readonly limiters: readonly string[]
  readonly reload: () => void
}

/** What one user, address or tenant has left of a limiter. */
export function SubjectCard({ limiters, reload }: SubjectCardProps) {
  const { query } = place.value
  const asked = { name: query.get('name') ?? '', subject: query.get('subject') ?? '' }
  const [name, setName] = useState(asked.name || (limiters[0] ?? ''))
  const [subject, setSubject] = useState(asked.subject)
  useEffect(() => {
    if (asked.name === '') return
    setName(asked.name)
    setSubject(asked.subject)
  }, [asked.name, asked.subject])
  if (limiters.length === 0) return null
  return (
    <Card title="What somebody has left">
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault()
          if (subject.trim() !== '') go('limits', { name, subject: subject.trim() })
        }}
      >
        <Choice
          label="Limiter"
          value={name}
          options={limiters.map((each) => [each, each] as const)}
          onChange={setName}
        />
        <Field label="Subject" value={subject} onInput={setSubject} placeholder="user:42" grow mono />
        <button type="submit" class="button" disabled={subject.trim() === ''}>
          Look
        </button>
      </form>
      {asked.name !== '' && asked.subject !== '' && (
        <Left
          key={`${asked.name} ${asked.subject}`}
          name={asked.name}
          subject={asked.subject}
          reloadAll={reload}
        />
      )}
    </Card>
  )
}

const EVERY_MS = 3_000

interface LeftProps {
  readonly name: string
  readonly subject: string
  readonly reloadAll: () => void
}

function Left({ name, subject, reloadAll }: LeftProps) {
  const path = `limits/${pathOf(name, subject)}`
  const found = useResource<LimitSubject>(path, { everyMs: EVERY_MS })
  const reset = () =>
    confirm({
      title: 'Reset this limit?',
      body: (
        <p class="wrap">
          <code>{subject}</code> starts again with all of <code>{name}</code>.
        </p>
      ),
      verb: 'Reset',
      run: async () => {
        await act(
          () => ask<LimitReset>(path, { method: 'DELETE' }),
          () => `${subject} starts again.`,
        )
        found.reload()
        reloadAll()
      },
    })
  return (
    <Shown of={found} what="what is left" lines={2}>
      {({ limits, blocked }) => (
        <>
          <div class="card-head">
            <span class="badges">
              <code class="wrap">{subject}</code>
              {blocked && <Badge tone="bad">blocked by hand</Badge>}
            </span>
            {may('limits.reset') && (
              <button type="button" class="button" data-kind="danger" data-size="small" onClick={reset}>
                Reset
              </button>
            )}
          </div>
          <Table
            label={`Left for ${subject}`}
            rows={limits}
            keyOf={({ limit }) => limit}
            columns={[
              { head: 'Limit', cell: ({ limit }) => limit },
              {
                head: 'Remaining',
                kind: 'number',
                cell: ({ remaining, most }) => `${count(remaining)} of ${count(most)}`,
              },
              {
                head: 'Share',
                cell: ({ remaining, most }) => (
                  <Meter
                    share={remaining / Math.max(1, most)}
                    {...(remaining <= 0 && { tone: 'bad' as const })}
                  />
                ),
              },
              { head: 'Full again in', kind: 'number', cell: ({ resetAfter }) => span(resetAfter) },
            ]}
          />
        </>
      )}
    </Shown>
  )
}
