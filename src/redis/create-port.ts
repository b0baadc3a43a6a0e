import { ClusterPort } from './cluster.ts'
import type { Dialer } from './link.ts'
import { OneNodePort } from './one-node.ts'
import type { RedisPort } from './port.ts'
import { type RedisSettings, withDefaults } from './settings.ts'

/**
 * The port over any dialer: of a client library, or the simulator's. Connecting begins at once, in
 * the background; nothing here throws because a server is down.
 */
export function createPort(dialer: Dialer, settings: Partial<RedisSettings> = {}): RedisPort {
  const full = withDefaults(settings)
  return dialer.topology === 'cluster' ? new ClusterPort(dialer, full) : new OneNodePort(dialer, full)
}
