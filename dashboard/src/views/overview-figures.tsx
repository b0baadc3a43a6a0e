import type { Overview } from '../../../src/admin/answers/overview.ts'
import { access } from '../api/access.ts'
import { bytes, count, measured, NOTHING, percent, plural, span } from '../parts/format.ts'
import { Stat, Stats } from '../parts/stat.tsx'

interface Seen {
  readonly seen: Overview
}

export function CacheFigures({ seen: { cache } }: Seen) {
  if (!cache.enabled) {
    return (
      <Stats label="Cache">
        <Stat name="Hit rate" value="off" tone="off" note="the cache is switched off" />
        <Stat name="Loads" value={count(cache.loads)} note="each call runs its loader" />
        <Stat
          name="Loader, p50"
          value={measured(cache.loadP50Ms)}
          note={`p99 ${measured(cache.loadP99Ms)}`}
        />
      </Stats>
    )
  }
  const asked = cache.hits + cache.misses
  return (
    <Stats label="Cache">
      <Stat
        name="Hit rate"
        value={percent(cache.hitRate)}
        note={asked === 0 ? 'nothing asked in this minute' : `of ${count(asked)} look-ups`}
      />
      <Stat
        name="Look-ups / min"
        value={count(asked + cache.errors)}
        note={
          cache.errors === 0
            ? `${count(cache.l1Hits)} local, ${count(cache.l2Hits)} shared`
            : `${count(cache.errors)} errors`
        }
        {...(cache.errors > 0 && { tone: 'warn' })}
      />
      <Stat
        name="From the cache, p50"
        value={measured(cache.opP50Ms)}
        note={`p99 ${measured(cache.opP99Ms)}`}
      />
      <Stat
        name="By the loader, p50"
        value={measured(cache.loadP50Ms)}
        note={`p99 ${measured(cache.loadP99Ms)}`}
      />
      <Stat
        name="Stampedes prevented"
        value={count(cache.stampedesPrevented)}
        note="callers who shared a load"
      />
      <Stat name="Stale served" value={count(cache.staleServed)} note="instead of waiting or failing" />
    </Stats>
  )
}

export function SharedFigures({ seen: { redis, limits, locks, queues } }: Seen) {
  return (
    <Stats label="Redis and what is shared">
      <Memory redis={redis} />
      <Stat
        name="Evicted"
        value={count(redis?.evictedKeys)}
        note="keys since its start"
        {...(redis && redis.evictedKeys > 0 && { tone: 'warn' })}
      />
      <Stat
        name="Redis ping"
        value={measured(redis?.pingMs)}
        note={
          redis ? `${count(redis.opsPerSecond)} ops/s, ${count(redis.connectedClients)} clients` : awayNote()
        }
      />
      <Stat name="Denied by limits" value={count(limits.denied)} note={`${count(limits.allowed)} allowed`} />
      <Stat
        name="Locks held"
        value={count(locks.held)}
        note={`${count(locks.waiting)} waiting, ${count(locks.lost)} lost`}
        {...(locks.lost > 0 && { tone: 'warn' })}
      />
      <Stat
        name="Queued"
        value={count(queues.waiting)}
        note={
          queues.failed > 0 ? (
            <span class="tone-warn">{plural(queues.failed, 'dead letter')}</span>
          ) : (
            `oldest ${span(queues.oldestSeconds)}`
          )
        }
      />
    </Stats>
  )
}

/** Why there are no figures of a server. */
function awayNote(): string {
  const now = access.value
  return now.state === 'in' && now.me.driver === 'embedded' ? 'no Redis in use' : 'does not answer'
}

const FULL = 0.8

function Memory({ redis }: { readonly redis: Overview['redis'] }) {
  if (redis === null) return <Stat name="Memory" value={NOTHING} note={awayNote()} />
  const { usedMemory, maxMemory } = redis
  const share = maxMemory === 0 ? 0 : usedMemory / maxMemory
  return (
    <Stat
      name="Memory"
      value={bytes(usedMemory)}
      note={maxMemory === 0 ? 'no maximum set' : `${percent(share * 100)} of ${bytes(maxMemory)}`}
      {...(share > FULL && { tone: share > 0.95 ? 'bad' : 'warn' })}
    />
  )
}
