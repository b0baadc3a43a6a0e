import type { CacheExplanation } from '../../../src/admin/answers/cache.ts'
import { pathOf } from '../api/request.ts'
import { useResource } from '../api/resource.ts'
import { Facts } from '../parts/facts.tsx'
import { bytes, latency, NOTHING, span } from '../parts/format.ts'
import { Shown } from '../parts/state.tsx'
import { When } from '../parts/when.tsx'

/** What a look-up of this key would answer now, and why. */
export function Explanation({ name }: { readonly name: string }) {
  const found = useResource<CacheExplanation>(`cache/explain/${pathOf(name)}`)
  return (
    <details open>
      <summary>
        <strong>Explain</strong>
      </summary>
      <Shown of={found} what="the explanation">
        {(told) => <Told told={told} />}
      </Shown>
    </details>
  )
}

function Told({ told }: { readonly told: CacheExplanation }) {
  const notes = [
    told.loading && 'a load runs here',
    told.leased && 'a load runs somewhere',
    told.heldOff && 'reloads rest after a failure',
    told.compressed && 'compressed',
    told.encrypted && 'encrypted',
  ].filter((note) => note !== false)
  return (
    <div class="explanation">
      <p>{told.verdict}</p>
      <Facts
        of={[
          ['State', told.reason === null ? told.state : `${told.state}: ${told.reason}`],
          told.refusedBy === null ? undefined : ['Refused by', told.refusedBy],
          ['Found in', TIERS[told.tier]],
          ['Age', told.ageSeconds === null ? NOTHING : span(told.ageSeconds)],
          ['Fresh for', span(told.ttl)],
          ['Stale for', span(told.staleFor)],
          ['Took to load', latency(told.loadMs)],
          ['Written by', told.writtenBy ?? NOTHING],
          ['Size', bytes(told.bytes)],
          ['Namespace', told.parts.namespace || '(root)'],
          told.parts.redisKey === null ? undefined : ['Key in Redis', <code>{told.parts.redisKey}</code>],
          told.version === null ? undefined : ['Version', <code>{told.version}</code>],
          notes.length === 0 ? undefined : ['Notes', notes.join(', ')],
        ]}
      />
      {told.tags.length > 0 && (
        <Facts
          of={told.tags.map(({ tag, version, invalidatedAt }) => [
            `Tag ${tag}`,
            <span>
              {version === null ? 'no version known' : `version ${version}`}
              {invalidatedAt !== null && (
                <>
                  , invalidated <When at={invalidatedAt} />
                </>
              )}
            </span>,
          ])}
        />
      )}
    </div>
  )
}

const TIERS: Readonly<Record<CacheExplanation['tier'], string>> = {
  memory: 'process memory',
  l1: 'the local copy',
  redis: 'Redis',
  none: 'nowhere',
}
