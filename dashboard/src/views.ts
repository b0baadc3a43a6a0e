import type { FunctionComponent } from 'preact'
import type { Permission } from '../../src/admin/permissions.ts'
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
  /** Without it there is nothing to see. */
  readonly needs: Permission
  readonly Body: FunctionComponent
}

export const VIEWS: readonly ViewEntry[] = [
  { name: '', title: 'Overview', group: '', needs: 'stats', Body: OverviewPage },
  { name: 'namespaces', title: 'Namespaces', group: 'Cache', needs: 'stats', Body: Namespaces },
  { name: 'keys', title: 'Keys', group: 'Cache', needs: 'cache.list', Body: Keys },
  { name: 'clear', title: 'Clear', group: 'Cache', needs: 'cache.clear', Body: Clear },
  { name: 'limits', title: 'Limits', group: 'Coordination', needs: 'limits.read', Body: Limits },
  { name: 'locks', title: 'Locks', group: 'Coordination', needs: 'locks.read', Body: Locks },
  { name: 'once', title: 'Run once', group: 'Coordination', needs: 'once.read', Body: OnceRecords },
  { name: 'queues', title: 'Queues', group: 'Coordination', needs: 'queues.read', Body: Queues },
  { name: 'sessions', title: 'Sessions', group: 'People', needs: 'sessions.read', Body: Sessions },
  { name: 'tokens', title: 'OAuth tokens', group: 'People', needs: 'tokens.read', Body: Tokens },
  { name: 'redis', title: 'Redis', group: 'System', needs: 'stats', Body: RedisHealth },
  { name: 'audit', title: 'Audit', group: 'System', needs: 'audit', Body: Audit },
]
