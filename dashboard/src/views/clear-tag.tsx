import { useState } from 'preact/hooks'
import type { CacheTagInvalidated, CacheTags } from '../../../src/admin/answers/cache.ts'
import { may } from '../api/access.ts'
import { act, tell } from '../api/notices.ts'
import { ask, pathOf, Refusal } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { confirm } from '../parts/confirm.tsx'
import { Choice, Field } from '../parts/field.tsx'
import { plural } from '../parts/format.ts'
import { Card } from '../parts/view.tsx'

const MODES = [
  ['hard', 'Hard: gone at once'],
  ['soft', 'Soft: kept as stale, reloaded on use'],
] as const
type Mode = (typeof MODES)[number][0]

export function ClearByTag() {
  const [tag, setTag] = useState('')
  const [mode, setMode] = useState<Mode>('hard')
  const [counted, setCounted] = useState<{ tag: string; text: string }>()
  const [busy, setBusy] = useState(false)
  const invalidate = (name: string, dryRun?: boolean) =>
    ask<CacheTagInvalidated>(`cache/tags/${pathOf(name)}`, { method: 'DELETE', query: { mode, dryRun } })
  const countFirst = async (event: Event) => {
    event.preventDefault()
    const name = tag.trim()
    if (name === '' || busy) return
    setBusy(true)
    try {
      const { would_invalidate = 0, exact = true } = await invalidate(name, true)
      const some = plural(would_invalidate, 'entry carries', 'entries carry')
      setCounted({ tag: name, text: exact ? `${some} it.` : `At least ${some} it.` })
    } catch (error) {
      tell(error instanceof Refusal ? error.message : String(error), 'bad')
    }
    setBusy(false)
  }
  const really = (name: string) =>
    confirm({
      title: `Invalidate the tag ${name}?`,
      body: (
        <p>
          {counted?.text}{' '}
          {mode === 'soft'
            ? 'They stay as stale until they are reloaded.'
            : 'They are gone for every process.'}
        </p>
      ),
      verb: 'Invalidate',
      type: name,
      run: async () => {
        await act(
          () => invalidate(name),
          () => `The tag ${name} is invalidated.`,
        )
        setCounted(undefined)
      },
    })
  const isCounted = counted !== undefined && counted.tag === tag.trim()
  return (
    <Card title="By tag" note="One step, however many entries carry it.">
      <form class="form" onSubmit={countFirst}>
        <Field label="Tag" value={tag} onInput={setTag} placeholder="products" grow mono />
        <Choice label="How" value={mode} options={MODES} onChange={setMode} />
        <button type="submit" class="button" disabled={tag.trim() === '' || busy}>
          Count
        </button>
      </form>
      <p role="status">{isCounted ? counted.text : 'Count first: nothing is dropped by counting.'}</p>
      <div class="actions">
        <button
          type="button"
          class="button"
          data-kind="danger"
          disabled={!isCounted}
          onClick={() => counted && really(counted.tag)}
        >
          Invalidate
        </button>
      </div>
      <KnownTags choose={setTag} />
    </Card>
  )
}

function KnownTags({ choose }: { readonly choose: (tag: string) => void }) {
  const { data } = useResource<CacheTags>(may('cache.list') ? 'cache/tags' : undefined, {
    query: { limit: 20 },
    onward: ({ tags, cursor }) => (tags.length === 0 ? cursor : null),
  })
  if (data === undefined || data.tags.length === 0) return null
  return (
    <div>
      <span class="label">Tags in use</span>
      <ul class="badges" aria-label="Tags in use">
        {data.tags.map(({ tag }) => (
          <li key={tag}>
            <button type="button" class="button" data-size="small" onClick={() => choose(tag)}>
              {tag}
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}
