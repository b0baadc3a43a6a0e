import type { Overview } from '../../../src/admin/answers/overview.ts'
import { bytes, count, latency, NOTHING, percent, span } from '../parts/format.ts'
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
          name="Loader, typical"
          value={latency(cache.loadP50Ms)}
          note={`slowest of 100: ${latency(cache.loadP99Ms)}`}
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
        name="Look-ups"
        value={count(asked + cache.errors)}
        unit="/ min"
        note={
          cache.errors === 0
            ? `${count(cache.l1Hits)} local, ${count(cache.l2Hits)} shared`
            : `${count(cache.errors)} errors`
        }
        {...(cache.errors > 0 && { tone: 'warn' })}
      />
      <Stat
        name="From the cache, typical"
        value={latency(cache.opP50Ms)}
        note={`slowest of 100: ${latency(cache.opP99Ms)}`}
      />
      <Stat
        name="By the loader, typical"
        value={latency(cache.loadP50Ms)}
        note={`slowest of 100: ${latency(cache.loadP99Ms)}`}
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

export function SharedFigures({ seen: { redis, limits, locks, queues, processes } }: Seen) {
  return (
    <Stats label="Redis and what is shared">
      <Memory redis={redis} />
      <Stat
        name="Evicted"
        value={count(redis?.evictedKeys)}
        note="keys, since the server started"
        {...(redis && redis.evictedKeys > 0 && { tone: 'warn' })}
      />
      <Stat
        name="Redis"
        value={latency(redis?.pingMs)}
        note={
          redis
            ? `${count(redis.opsPerSecond)} commands/s, ${count(redis.connectedClients)} clients`
            : 'not in use, or away'
        }
      />
      <Stat
        name="Limits"
        value={count(limits.denied)}
        unit="denied"
        note={`${count(limits.allowed)} allowed in this minute`}
      />
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
          queues.failed > 0 ? `${count(queues.failed)} dead letters` : `oldest ${span(queues.oldestSeconds)}`
        }
        {...(queues.failed > 0 && { tone: 'warn' })}
      />
      <Stat name="Processes" value={count(processes)} note="share this namespace" />
    </Stats>
  )
}

const FULL = 0.8

function Memory({ redis }: { readonly redis: Overview['redis'] }) {
  if (redis === null) return <Stat name="Memory" value={NOTHING} note="Redis is not in use, or away" />
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
