import type { Host, Network, SimLink } from './network.ts'
import type { Prng } from './prng.ts'
import type { SimProcess, World } from './world.ts'

/** Mean time between two faults of a kind in ms; absent = never. */
export interface FaultRates {
  readonly cut?: number
  readonly cutUnnoticed?: number
  readonly stall?: number
  /** Replies and messages of one link come late, what it sends does not. */
  readonly stallReplies?: number
  readonly swallow?: number
  readonly freezeProcess?: number
  /** Its monotonic clock stops too, as when a virtual machine sleeps. */
  readonly suspendProcess?: number
  readonly killProcess?: number
  readonly wallStep?: number
  readonly freezeServer?: number
  readonly evict?: number
  readonly flushAll?: number
  readonly scriptFlush?: number
  readonly outOfMemory?: number
  readonly misconf?: number
  readonly restart?: number
  readonly failover?: number
  readonly pingPong?: number
}

export type FaultKind = keyof FaultRates

export interface FaultTargets {
  processes(): readonly SimProcess[]
  /** Ends one process for good and starts another in its place. */
  replace(process: SimProcess): void
}

/** How far back a stale file or a lagging replica may lie. */
const LAG_MS = 1_000

/** Makes things go wrong, at random moments, from the seed. */
export class Faults {
  readonly counts = new Map<FaultKind, number>()
  readonly #world: World
  readonly #network: Network
  readonly #targets: FaultTargets
  readonly #prng: Prng
  #active = true

  constructor(world: World, network: Network, targets: FaultTargets, rates: FaultRates) {
    this.#world = world
    this.#network = network
    this.#targets = targets
    this.#prng = world.random('faults')
    for (const kind of Object.keys(rates) as FaultKind[]) this.#schedule(kind, rates[kind]!)
    if (rates.restart || rates.failover || rates.pingPong) this.#remember()
  }

  /** No more faults; what is broken gets well. */
  stop(): void {
    this.#active = false
    for (const host of this.#network.hosts) {
      host.server.full = false
      host.server.misconf = false
    }
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, n) => sum + n, 0)
  }

  #schedule(kind: FaultKind, mean: number): void {
    const wait = -Math.log(1 - this.#prng.float()) * mean
    this.#world.at(this.#world.now + wait, () => {
      if (!this.#active) return
      const detail = this.#strike(kind)
      if (detail !== undefined) {
        this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
        this.#world.note('FAULT', () => `${kind} ${detail}`)
      }
      this.#schedule(kind, mean)
    })
  }

  #remember(): void {
    for (const host of this.#network.hosts) if (host.up) host.remember(LAG_MS)
    this.#world.at(this.#world.now + 50, () => {
      if (this.#active) this.#remember()
    })
  }

  /** Undefined when there was nothing to break. */
  #strike(kind: FaultKind): string | undefined {
    const prng = this.#prng
    const { master } = this.#network
    switch (kind) {
      case 'cut':
        return this.#onLink((link) => link.cut(prng, prng.between(0, 5)))
      case 'cutUnnoticed':
        return this.#onLink((link) => link.cut(prng, prng.between(50, 3_000)))
      case 'stall':
        return this.#onLink((link) => {
          const ms = prng.chance(0.7) ? prng.between(5, 150) : prng.between(150, 2_000)
          link.stall(ms, prng.pick(['both', 'both', 'in', 'out']))
        })
      case 'stallReplies':
        return this.#onLink((link) => link.stall(prng.between(5, 120), 'in'))
      case 'swallow':
        return this.#onLink((link) => link.swallow(prng.pick(['out', 'in', 'both'])))
      case 'freezeProcess':
      case 'suspendProcess': {
        const process = prng.pick(this.#targets.processes())
        const ms = prng.chance(0.6) ? prng.between(20, 900) : prng.between(900, 3_000)
        // A sleep that stops the monotonic clock and a wall clock set back to hide it are not
        // survivable together: nothing in the process can tell that time has passed.
        const suspend = kind === 'suspendProcess'
        if (suspend && this.#world.now - process.steppedAt < 1_500) return undefined
        process.freeze(ms, suspend)
        return `${process.name} for ${ms.toFixed(0)} ms${suspend ? ', clock too' : ''}`
      }
      case 'killProcess': {
        const process = prng.pick(this.#targets.processes())
        this.#targets.replace(process)
        return process.name
      }
      case 'wallStep': {
        const process = prng.pick(this.#targets.processes())
        if (process.asleep) return undefined
        const ms = prng.between(-5_000, 5_000)
        process.stepWallClock(ms)
        return `${process.name} by ${ms.toFixed(0)} ms`
      }
      case 'freezeServer': {
        const ms = prng.chance(0.7) ? prng.between(10, 400) : prng.between(400, 2_500)
        master.freeze(ms)
        return `${master.server.address} for ${ms.toFixed(0)} ms`
      }
      case 'evict': {
        const keys = master.server.keys.keys()
        if (keys.length === 0) return undefined
        const key = prng.pick(keys)
        master.server.keys.delete(key)
        return key
      }
      case 'flushAll':
        master.server.keys.clear()
        return ''
      case 'scriptFlush':
        master.server.flushScripts()
        return ''
      case 'outOfMemory':
        return this.#forAWhile(master, 'full', prng.between(20, 800))
      case 'misconf':
        return this.#forAWhile(master, 'misconf', prng.between(200, 2_500))
      case 'restart':
        return master.up ? this.#restart(master) : undefined
      case 'failover':
        return this.#failover(false)
      case 'pingPong':
        return this.#failover(true)
    }
  }

  #onLink(strike: (link: SimLink) => void): string | undefined {
    const links = this.#network.openLinks()
    if (links.length === 0) return undefined
    const link = this.#prng.pick(links)
    strike(link)
    return link.name
  }

  #forAWhile(host: Host, flag: 'full' | 'misconf', ms: number): string {
    host.server[flag] = true
    this.#world.at(this.#world.now + ms, () => {
      host.server[flag] = false
    })
    return `for ${ms.toFixed(0)} ms`
  }

  /** kill -9 and a new process with an old file, or with nothing at all. */
  #restart(host: Host): string {
    const prng = this.#prng
    const lost = host.history.length > 0 && prng.chance(0.8) ? prng.pick(host.history) : undefined
    const downFor = prng.between(1, 300)
    this.#crash(host)
    this.#world.at(this.#world.now + downFor, () => {
      host.server.restart(lost?.snapshot)
      host.up = true
      if (prng.chance(0.3)) {
        host.server.loading = true
        this.#world.at(this.#world.now + prng.between(5, 200), () => {
          host.server.loading = false
        })
      }
    })
    return `${host.server.address} back in ${downFor.toFixed(0)} ms with data of ${lost ? lost.at.toFixed(0) : 'never'}`
  }

  #crash(host: Host): void {
    host.up = false
    for (const link of [...host.links]) {
      link.swallow('out')
      link.cut(this.#prng, this.#prng.chance(0.8) ? this.#prng.between(0, 5) : 5_000)
    }
    host.links.clear()
  }

  /**
   * Another host becomes master. Fresh: with what the old master held up to a second ago. Ping-pong:
   * with what it last held as a master itself, as after a rejoin that never synchronised.
   */
  #failover(pingPong: boolean): string | undefined {
    const { hosts, master } = this.#network
    const other = hosts.find((host) => host !== master)
    if (!other || !master.up) return undefined
    const prng = this.#prng
    if (!pingPong && master.history.length > 0) {
      const synced = prng.pick(master.history)
      other.server.follow(master.server, synced.snapshot)
    }
    for (const link of [...master.links]) link.cut(prng, prng.between(0, 5))
    master.server.demote()
    other.server.promote()
    other.up = true
    const switchAfter = prng.between(0, 200)
    this.#world.at(this.#world.now + switchAfter, () => {
      this.#network.master = other
    })
    return `${master.server.address} -> ${other.server.address}, named after ${switchAfter.toFixed(0)} ms`
  }
}
