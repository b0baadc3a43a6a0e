import type { CacheStatsAnswer } from '../../../src/admin/answers/cache.ts'
import type { SlowCommand } from '../../../src/admin/answers/slowlog.ts'
import type { Health } from '../../../src/face.ts'
import { may } from '../api/access.ts'
import { useResource } from '../api/resource.ts'
import { Badge } from '../parts/badge.tsx'
import { bytes, count, latency, span } from '../parts/format.ts'
import { Stat, Stats } from '../parts/stat.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { When } from '../parts/when.tsx'
import { Doctor } from './doctor.tsx'

const EVERY_MS = 5_000

/** The server below it all: is it there, is it well, what would make it better. */
export function RedisHealth() {
  const stats = useResource<CacheStatsAnswer>('cache/stats', { everyMs: EVERY_MS })
  const health = useResource<Health>('health', { everyMs: EVERY_MS })
  return (
    <View
      title="Redis"
      about="Connections as this process sees them, the server's memory, and what the doctor finds."
    >
      <Shown of={stats} what="the server" lines={4}>
        {(data) => <Server data={data} />}
      </Shown>
      <Card title="Connections">
        <Shown of={health} what="connections" lines={3}>
          {(data) => <Connections health={data} />}
        </Shown>
      </Card>
      {may('doctor') && <Doctor />}
      {may('slowlog') && <SlowLog />}
    </View>
  )
}

function Server({ data: { server, memory, stats } }: { readonly data: CacheStatsAnswer }) {
  const { maxmemory_bytes: most, used_memory_bytes: used, eviction_policy: policy } = memory
  const isEmbedded = server.version === 'embedded'
  return (
    <Stats label="Server">
      <Stat
        name={isEmbedded ? 'Storage' : 'Version'}
        value={isEmbedded ? 'memory' : server.version}
        note={isEmbedded ? 'in this process, no Redis' : `up ${span(server.uptime_seconds)}`}
      />
      <Stat
        name="Memory"
        value={bytes(used)}
        note={most ? `${Math.round((100 * used) / most)} % of ${bytes(most)}` : 'no maximum set'}
        {...(most && used / most > 0.8 && { tone: 'warn' })}
      />
      <Stat
        name="Highest"
        value={bytes(memory.peak_memory_bytes)}
        note={`machine has ${bytes(memory.total_system_memory_bytes)}`}
      />
      <Stat
        name="When full"
        value={policy ?? 'LRU'}
        note={isEmbedded ? 'the least used go' : 'eviction policy'}
      />
      <Stat name="Clients" value={count(server.connected_clients)} note="connected" />
      <Stat
        name="Keys"
        value={`${stats.total_keys_exact ? '' : '≥ '}${count(stats.total_keys)}`}
        note="of the cache"
      />
    </Stats>
  )
}

function Connections({ health: { roles, since, status } }: { readonly health: Health }) {
  const rows = Object.entries(roles).flatMap(([role, known]) =>
    known.nodes.map((node) => ({ role, label: known.label, topology: known.topology, node })),
  )
  if (rows.length === 0) {
    return (
      <Empty title="No connections">
        Everything stands in process memory: nothing is shared, nothing can be away.
      </Empty>
    )
  }
  return (
    <>
      <p class="muted">
        {status} since <When at={since} />
      </p>
      <Table
        label="Connections"
        rows={rows}
        keyOf={({ role, node }) => `${role} ${node.address}`}
        columns={[
          { head: 'Role', cell: ({ role }) => role },
          { head: 'Server', cell: ({ node }) => <span class="mono">{node.address}</span> },
          { head: 'Topology', cell: ({ topology }) => topology },
          {
            head: 'State',
            cell: ({ node }) => <Badge tone={node.state === 'ready' ? 'good' : 'bad'}>{node.state}</Badge>,
          },
        ]}
      />
    </>
  )
}

const SLOW_EVERY_MS = 15_000
const SLOW_SHOWN = 20
const KEYS_SHOWN = 2

const shortened = (keys: readonly string[]): string =>
  keys.slice(0, KEYS_SHOWN).join(' ') +
  (keys.length > KEYS_SHOWN ? ` and ${keys.length - KEYS_SHOWN} more` : '')

function SlowLog() {
  const found = useResource<readonly SlowCommand[]>('slowlog', { everyMs: SLOW_EVERY_MS })
  return (
    <Card
      title="Slow commands"
      note={`The latest ${SLOW_SHOWN} of the server's own list, keys shortened and hashed.`}
    >
      <Shown of={found} what="slow commands" lines={3}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="No slow commands" />
          ) : (
            <Table
              label="Slow commands"
              rows={rows.slice(0, SLOW_SHOWN)}
              keyOf={({ node, role, id }) => `${role} ${node} ${id}`}
              columns={[
                { head: 'When', cell: ({ at }) => <When at={at} /> },
                { head: 'Took', kind: 'number', cell: ({ microseconds }) => latency(microseconds / 1_000) },
                { head: 'Command', cell: ({ command }) => <span class="mono">{command}</span> },
                { head: 'Keys', cell: ({ keys }) => <span class="mono">{shortened(keys)}</span> },
                { head: 'Server', cell: ({ node, role }) => `${node} (${role})` },
              ]}
            />
          )
        }
      </Shown>
    </Card>
  )
}
