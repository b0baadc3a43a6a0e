import { useState } from 'preact/hooks'
import type { CacheCleared } from '../../../src/admin/answers/cache.ts'
import { act, tell } from '../api/notices.ts'
import { ask, Refusal } from '../api/request.ts'
import { confirm } from '../parts/confirm.tsx'
import { Field } from '../parts/field.tsx'
import { plural } from '../parts/format.ts'
import { Card } from '../parts/view.tsx'

export function ClearByPattern() {
  const [pattern, setPattern] = useState('')
  const [counted, setCounted] = useState<{ pattern: string; n: number }>()
  const [busy, setBusy] = useState(false)
  const clear = (query: { pattern: string; dryRun?: boolean }) =>
    ask<CacheCleared>('cache/clear', { method: 'DELETE', query })
  const countFirst = async (event: Event) => {
    event.preventDefault()
    if (pattern.trim() === '' || busy) return
    setBusy(true)
    try {
      const { would_delete = 0 } = await clear({ pattern: pattern.trim(), dryRun: true })
      setCounted({ pattern: pattern.trim(), n: would_delete })
    } catch (error) {
      tell(error instanceof Refusal ? error.message : String(error), 'bad')
    }
    setBusy(false)
  }
  const really = (what: string, n: number) =>
    confirm({
      title: `Drop ${plural(n, 'entry', 'entries')}?`,
      body: <p>What matches is loaded again when it is next used.</p>,
      verb: 'Clear',
      type: what,
      run: async () => {
        await act(
          () => clear({ pattern: what }),
          ({ deleted = 0 }) => `${plural(deleted, 'entry', 'entries')} dropped.`,
        )
        setCounted(undefined)
      },
    })
  const isCounted = counted !== undefined && counted.pattern === pattern.trim()
  return (
    <Card
      title="By pattern"
      note="Looks at every name: for a few thousand entries. Tags are better for more."
    >
      <form class="form" onSubmit={countFirst}>
        <Field label="Pattern" value={pattern} onInput={setPattern} placeholder="user:*" grow mono />
        <button type="submit" class="button" disabled={pattern.trim() === '' || busy}>
          Count
        </button>
      </form>
      <p role="status">
        {isCounted
          ? `${plural(counted.n, 'entry matches', 'entries match')}.`
          : 'Count first: nothing is dropped by counting.'}
      </p>
      <div class="actions">
        <button
          type="button"
          class="button"
          data-kind="danger"
          disabled={!isCounted || counted.n === 0}
          onClick={() => counted && really(counted.pattern, counted.n)}
        >
          Clear what matches
        </button>
      </div>
    </Card>
  )
}
