import { useEffect, useRef, useState } from 'preact/hooks'
import type { CacheKey, CacheKeyDeleted } from '../../../src/admin/answers/cache.ts'
import { may } from '../api/access.ts'
import { act } from '../api/notices.ts'
import { ask, pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { confirm } from '../parts/confirm.tsx'
import { Facts } from '../parts/facts.tsx'
import { bytes, span } from '../parts/format.ts'
import { Shown } from '../parts/state.tsx'
import { ValueTree } from '../parts/value-tree.tsx'
import { Explanation } from './explanation.tsx'

interface KeyDetailProps {
  readonly name: string
  readonly close: () => void
  readonly gone: () => void
}

/** One entry: its value with secrets redacted, why it is served or not, and how to be rid of it. */
export function KeyDetail({ name, close, gone }: KeyDetailProps) {
  const [reveal, setReveal] = useState(false)
  const heading = useRef<HTMLHeadingElement>(null)
  const found = useResource<CacheKey>(`cache/key/${pathOf(name)}`, {
    query: { reveal: reveal || undefined },
    keep: true,
  })
  useEffect(() => heading.current?.focus(), [])
  const remove = () =>
    confirm({
      title: 'Delete this entry?',
      body: (
        <p class="wrap">
          <code>{name}</code> is dropped everywhere. The next call loads it again.
        </p>
      ),
      verb: 'Delete',
      run: async () => {
        const isDone = await act(
          () => ask<CacheKeyDeleted>(`cache/key/${pathOf(name)}`, { method: 'DELETE' }),
          ({ deleted }) => (deleted === 0 ? 'There was nothing to delete.' : 'Deleted.'),
        )
        if (isDone) gone()
      },
    })
  const askToReveal = () =>
    confirm({
      title: 'Show what is redacted?',
      body: <p>The whole value is shown, secrets included. The audit log keeps that you looked.</p>,
      verb: 'Reveal',
      run: async () => setReveal(true),
    })
  return (
    <section class="card detail" aria-label="Entry">
      <div class="card-head">
        <h2 ref={heading} tabIndex={-1} class="mono wrap">
          {name}
        </h2>
      </div>
      <div class="actions">
        {may('cache.reveal') && !reveal && (
          <button type="button" class="button" data-size="small" onClick={askToReveal}>
            Reveal
          </button>
        )}
        {reveal && (
          <button type="button" class="button" data-size="small" onClick={() => setReveal(false)}>
            Redact again
          </button>
        )}
        {may('cache.clear') && (
          <button type="button" class="button" data-kind="danger" data-size="small" onClick={remove}>
            Delete
          </button>
        )}
        <button type="button" class="button" data-size="small" onClick={close}>
          Close
        </button>
      </div>
      <Shown of={found} what="the entry">
        {(entry) => <Entry entry={entry} />}
      </Shown>
      <Explanation name={name} />
    </section>
  )
}

function Entry({ entry }: { readonly entry: CacheKey }) {
  return (
    <>
      <div class="badges">
        <Badge tone={entry.state === 'fresh' ? 'good' : 'warn'}>{entry.state}</Badge>
        <Badge>{entry.valueType}</Badge>
        <Badge>{bytes(entry.bytes)}</Badge>
        <Badge tone={entry.redacted ? 'plain' : 'bad'}>
          {entry.redacted ? 'secrets redacted' : 'revealed'}
        </Badge>
      </div>
      <Facts
        of={[
          ['Fresh for', span(entry.ttl)],
          entry.tags.length > 0 ? ['Tags', entry.tags.join(', ')] : undefined,
        ]}
      />
      <ValueTree value={entry.value} />
    </>
  )
}
