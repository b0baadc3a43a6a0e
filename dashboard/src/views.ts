import type { FunctionComponent } from 'preact'
import { Audit } from './views/audit.tsx'
import { Clear } from './views/clear.tsx'
import { Keys } from './views/keys.tsx'
import { Limits } from './views/limits.tsx'
import { Locks } from './views/locks.tsx'
import { Namespaces } from './views/namespaces.tsx'
import { OnceRecords } from './views/once.tsx'
import { OverviewPage } from './views/overview.tsx'
import { Queues } from './views/queues.tsx'
import { RedisHealth } from './views/redis.tsx'
import { Sessions } from './views/sessions.tsx'
import { Tokens } from './views/tokens.tsx'

export interface ViewEntry {
  /** In the address: `#/keys`; '' is where one lands. */
  readonly name: string
  readonly title: string
  readonly group: '' | 'Cache' | 'Coordination' | 'People' | 'System'
  readonly Body: FunctionComponent
}

export const VIEWS: readonly ViewEntry[] = [
  { name: '', title: 'Overview', group: '', Body: OverviewPage },
  { name: 'namespaces', title: 'Namespaces', group: 'Cache', Body: Namespaces },
  { name: 'keys', title: 'Keys', group: 'Cache', Body: Keys },
  { name: 'clear', title: 'Clear', group: 'Cache', Body: Clear },
  { name: 'limits', title: 'Limits', group: 'Coordination', Body: Limits },
  { name: 'locks', title: 'Locks', group: 'Coordination', Body: Locks },
  { name: 'once', title: 'Run once', group: 'Coordination', Body: OnceRecords },
  { name: 'queues', title: 'Queues', group: 'Coordination', Body: Queues },
  { name: 'sessions', title: 'Sessions', group: 'People', Body: Sessions },
  { name: 'tokens', title: 'OAuth tokens', group: 'People', Body: Tokens },
  { name: 'redis', title: 'Redis', group: 'System', Body: RedisHealth },
  { name: 'audit', title: 'Audit', group: 'System', Body: Audit },
]
