import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { tell } from './events.ts'
import type { Dialer } from './link.ts'
import { SupervisedNode } from './node.ts'
import type { RedisHealth, RedisPort } from './port.ts'
import { allReady } from './ready.ts'
import type { RedisSettings } from './settings.ts'

/**
 * One master: a single server, or the one that sentinels name. Each dial asks anew where it is, so
 * a failover is nothing but a lost connection here.
 */
export class OneNodePort implements RedisPort {
  readonly topology: 'single' | 'sentinel' | 'cluster'
  readonly label: string
  readonly clock: Clock
  readonly random: Random
  #node: SupervisedNode

  constructor(dialer: Dialer, settings: RedisSettings) {
    this.topology = dialer.topology
    this.label = dialer.label
    this.clock = settings.clock
    this.random = settings.random
    this.#node = new SupervisedNode(dialer, undefined, settings, {
      doubt() {},
      event: (name, node, cause) => tell(name, node.address, cause),
    })
  }

  nodeFor(): SupervisedNode {
    return this.#node
  }

  nodes(): readonly SupervisedNode[] {
    return [this.#node]
  }

  ready(ms: number): Promise<void> {
    return allReady(this.clock, ms, this.label, () => [this.#node])
  }

  onTopology(): () => void {
    return () => {}
  }

  health(): RedisHealth {
    return { topology: this.topology, label: this.label, nodes: [this.#node.health()] }
  }

  async close(): Promise<void> {
    this.#node.close()
  }
}
