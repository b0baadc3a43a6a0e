import type { CacheCleared, CacheStatsAnswer } from '../../../src/admin/answers/cache.ts'
import { act } from '../api/notices.ts'
import { ask } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { confirm } from '../parts/confirm.tsx'
import { plural } from '../parts/format.ts'
import { Shown } from '../parts/state.tsx'
import { Card } from '../parts/view.tsx'

export function ClearEverything() {
  const stats = useResource<CacheStatsAnswer>('cache/stats')
  const really = (namespace: string, n: number) =>
    confirm({
      title: 'Clear the whole cache?',
      body: (
        <p>
          {plural(n, 'entry is', 'entries are')} dropped, in every process. Loaders get all the traffic until
          it is warm again.
        </p>
      ),
      verb: 'Clear everything',
      type: namespace,
      run: async () => {
        const cleared = await act(
          () => ask<CacheCleared>('cache/clear', { method: 'DELETE', query: { confirm: namespace } }),
          () => 'The cache is empty.',
        )
        if (cleared) stats.reload()
      },
    })
  return (
    <Card title="Everything" note="All entries of the namespace. Asks for its name.">
      <Shown of={stats} what="the size of the cache" lines={1}>
        {({ namespace, stats: { total_keys, total_keys_exact } }) => (
          <div class="pager">
            <span>
              {total_keys_exact ? '' : 'At least '}
              {plural(total_keys, 'entry', 'entries')} in <code>{namespace}</code>
            </span>
            <button
              type="button"
              class="button"
              data-kind="danger"
              onClick={() => really(namespace, total_keys)}
            >
              Clear everything
            </button>
          </div>
        )}
      </Shown>
    </Card>
  )
}
