import { type Happening, happenings } from '../api/live.ts'
import { plural } from '../parts/format.ts'
import { Empty } from '../parts/state.tsx'
import { Card } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'

/** What connections did and what was dropped, since the page is open. */
export function Lately() {
  const seen = happenings.value
  return (
    <Card title="Lately">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so a keyboard must reach it */}
      <section class="lately" tabIndex={0} aria-label="What happened lately">
        {seen.length === 0 ? (
          <Empty title="Nothing so far">
            Connections that come or go, and what is invalidated, show here.
          </Empty>
        ) : (
          <ul>
            {seen.map((each) => (
              <li key={`${each.at} ${sentence(each)}`}>
                <span class="wrap">{sentence(each)}</span>
                <span class="muted">
                  <When at={each.at} />
                </span>
              </li>
            ))}
          </ul>
        )}
      </section>
    </Card>
  )
}

function sentence(each: Happening): string {
  if ('state' in each) return `${each.what}: ${each.state}${each.cause ? ` (${each.cause})` : ''}`
  return `${each.op} of ${plural(each.count, 'name')} in ${each.namespace || '(root)'}`
}
