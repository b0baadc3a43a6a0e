import { type Check, ms, ofServers, percent } from '../check.ts'
import { fail, pass, skip, warn } from '../finding.ts'

const ENOUGH_LOOKUPS = 100
const GOOD = 80
const POOR = 70
/** What entries of this release begin with. */
const FORMAT = 'hf1'

/** D10, D23 to D29: the application and its processes. */
export const applicationChecks: readonly Check[] = [
  {
    id: 'D10',
    title: 'Hit rate per namespace',
    judge({ namespaces, servers }) {
      const asked = Object.entries(namespaces).flatMap(([name, { hits, misses, hitRate }]) => {
        const lookups = hits.l1 + hits.l2 + hits.stale + misses
        return lookups < ENOUGH_LOOKUPS ? [] : [{ name: name || 'all together', rate: hitRate }]
      })
      if (asked.length === 0) {
        const whole = servers.flatMap(({ info }) => {
          const hits = Number(info.keyspace_hits) || 0
          const all = hits + (Number(info.keyspace_misses) || 0)
          return all < ENOUGH_LOOKUPS ? [] : [percent(hits / all)]
        })
        const aside =
          whole.length > 0 ? ` (the whole server: ${whole.join(', ')}, which is no measure of one cache)` : ''
        return skip(
          `this process has made fewer than ${ENOUGH_LOOKUPS} look-ups: ask the admin API of the application${aside}`,
        )
      }
      const low = asked.filter(({ rate }) => rate < GOOD)
      const list = (low.length > 0 ? low : asked).map(({ name, rate }) => `${name} ${rate} %`).join(', ')
      if (low.length === 0) return pass(list)
      const cause =
        'keys that are never asked twice, TTLs shorter than the time between questions, or invalidations that are too wide'
      const mend = 'holdfast explain <key> says why a key missed; look at its parts, its TTL and its tags'
      return low.some(({ rate }) => rate < POOR) ? fail(list, cause, mend) : warn(list, cause, mend)
    },
  },
  {
    id: 'D23',
    title: 'Queues',
    judge({ queues }) {
      if (queues.length === 0) return skip('no queues')
      const oldest = Math.max(...queues.map(({ oldestMs }) => oldestMs)) / 1_000
      const dead = queues.reduce((sum, queue) => sum + queue.dead, 0)
      const depth = queues.reduce((sum, queue) => sum + queue.depth, 0)
      const share = dead / Math.max(1, dead + depth)
      const idle = queues.filter((queue) => queue.depth > 0 && queue.workers === 0)
      const held = queues.filter(({ paused }) => paused).map(({ queue }) => queue)
      const seen = `${depth} messages, the oldest ${Math.round(oldest)} s old, ${dead} dead letters${held.length > 0 ? `; paused: ${held.join(', ')}` : ''}`
      const cause = [
        ...(idle.length > 0 ? [`nobody works on ${idle.map(({ queue }) => queue).join(', ')}`] : []),
        ...(oldest > 10 && idle.length === 0 ? ['workers do not keep up'] : []),
        ...(dead > 0 ? ['handlers gave messages up'] : []),
      ].join('; ')
      const mend = 'start workers; look at holdfast queue dead <queue> for reasons, then replay or drop'
      if (idle.length > 0 || oldest > 60 || share >= 0.01) return fail(seen, cause, mend)
      return oldest > 10 || dead > 0 ? warn(seen, cause, mend) : pass(seen)
    },
  },
  {
    id: 'D24',
    title: 'Format of entries',
    judge({ driver, sample }) {
      if (driver === 'embedded') return pass('one process, one release')
      if (sample === undefined) return skip('keys could not be looked at')
      const others = Object.entries(sample.formats).filter(([word]) => word !== FORMAT)
      const count = others.reduce((sum, [, times]) => sum + times, 0)
      if (count === 0) return pass(`every entry looked at is ${FORMAT}`)
      const releases = others.filter(([word]) => /^hf\d+$/.test(word)).map(([word]) => word)
      if (releases.length > 0) {
        return fail(
          `${count} entries are of another format: ${releases.join(', ')}`,
          'processes with another major release of Holdfast share this namespace: each takes the other’s entries as absent',
          'finish the roll-out, or give each release its own HOLDFAST_NAMESPACE',
        )
      }
      return warn(
        `${count} entries are not readable`,
        'something else wrote under our names',
        'find it, and give it another prefix; such entries are taken as absent',
      )
    },
  },
  {
    id: 'D25',
    title: 'Environment',
    judge({ refused, warnings }) {
      if (refused) return fail(refused.what, 'the configuration cannot work as given', refused.mend)
      if (warnings.length === 0) return pass('no variable contradicts another')
      return warn(
        warnings.join('; '),
        'two variables say different things, and one of them is not used',
        'say it in one place: REDIS_URL alone is enough',
      )
    },
  },
  {
    id: 'D26',
    title: 'Secrets',
    judge({ driver, sample, publicNamespaces }) {
      if (driver === 'embedded') return pass('nothing is stored outside the process')
      if (sample === undefined) return skip('keys could not be looked at')
      const names = Object.entries(sample.secretNames)
      if (names.length > 0) {
        return fail(
          `in names of keys: ${names.map(([kind, count]) => `${kind} (${count})`).join(', ')}`,
          'names of keys are in slow logs, metrics and monitors of every tool',
          'put an id or a digest into the key, never the secret; hf.tokens() does so',
        )
      }
      const plain = Object.entries(sample.plainSecrets)
      const open = plain.filter(([namespace]) => !publicNamespaces.includes(namespace))
      const list = (open.length > 0 ? open : plain)
        .map(([namespace, field]) => `${namespace} (${field})`)
        .join(', ')
      if (open.length > 0) {
        return fail(
          `in plain text, in namespaces ${list}`,
          'who reads the server or a backup reads them',
          'mark the namespace sensitive: true and give encryption keys; or store less',
        )
      }
      if (plain.length > 0)
        return warn(
          `in plain text, and declared public: ${list}`,
          'it was declared',
          'nothing, if that is true',
        )
      return pass(`none in ${sample.own} keys`)
    },
  },
  {
    id: 'D27',
    title: 'Processes',
    judge({ driver, processes }) {
      if (driver === 'redis') return pass('processes share what they keep over Redis')
      if (processes <= 1) return pass('one process, in its own memory: no Redis needed')
      return fail(
        `${processes} processes, each with a memory of its own`,
        'limits count per process, locks hold in one process only, an invalidation is not heard by the others, tokens are fetched by each',
        'set REDIS_URL, or run one process',
      )
    },
  },
  ofServers('D28', 'Invalidation messages', ({ echo }) => {
    if (echo === undefined) return skip('not tried')
    const cause = 'the server, the network or this process is slow with pushed messages'
    const mend =
      'allow the channels (&hf:*) to the user; look at D1 and D16; caches in process memory are trusted for a second at most without them'
    if (echo === 'lost')
      return fail(
        'a message that was published did not come back',
        'the user may not publish or subscribe, or the connection for pushes is down',
        mend,
      )
    const seen = `back after ${ms(echo)}`
    if (echo < 50) return pass(seen)
    return echo <= 500 ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),
  {
    id: 'D29',
    title: 'Node.js',
    judge({ nodeVersion }) {
      const major = Number(nodeVersion.split('.')[0])
      const seen = `Node.js ${nodeVersion}`
      if (major >= 22) return pass(seen)
      const mend = 'upgrade to Node.js 22 or newer'
      if (major < 20) return fail(seen, 'Holdfast and its parts do not run on it', mend)
      return warn(
        seen,
        'Node.js 20 is past its end of life; undici 8, got 16 and connect-redis 10 need 22',
        mend,
      )
    },
  },
]
