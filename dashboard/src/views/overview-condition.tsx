import type { Overview } from '../../../src/admin/answers/overview.ts'
import { connection } from '../api/live.ts'
import { When } from '../parts/when.tsx'

/** One line that is always there, so that a banner pushes nothing down when things go wrong. */
export function Condition({ seen }: { readonly seen: Overview }) {
  if (connection.value === 'lost') {
    return (
      <div class="banner" data-tone="bad" role="status">
        <strong>The server does not answer</strong>
        <p>
          These are the figures of <When at={seen.at} />. The page goes on trying.
        </p>
      </div>
    )
  }
  if (seen.status === 'degraded') {
    return (
      <div class="banner" role="status">
        <strong>Degraded: the application runs, without some of Redis</strong>
        <ul>
          {seen.degraded.map(({ what, since }) => (
            <li key={what}>
              {what}, <When at={since} />
            </li>
          ))}
        </ul>
      </div>
    )
  }
  if (seen.status === 'off') {
    return (
      <div class="banner" role="status">
        <strong>The cache is off</strong>
        <p>Every call goes to its loader. Limits, locks and the rest work as ever.</p>
      </div>
    )
  }
  return (
    <div class="banner calm" role="status">
      <strong>All is well</strong>
      <p>
        Everything that this process uses answers.{' '}
        {seen.processes > 1 && `${seen.processes} processes share the namespace.`}
      </p>
    </div>
  )
}
