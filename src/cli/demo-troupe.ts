import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { configFromEnv, type EnvConfig } from '../config.ts'
import { holdfast } from '../holdfast.ts'
import { type Backend, freePort, startBackend } from './demo-backend.ts'
import { type Example, scriptOf } from './demo-examples.ts'

const NAMESPACE = 'holdfast-demo'

export interface TroupeOptions {
  /** First port to try; without it each example's own; 0: any. */
  readonly port?: number | undefined
  /** A folder for what has to lie on disk, which is removed at the end. */
  readonly scratch: string
  readonly ended: AbortSignal
}

/** The processes of a demo: brought up, remembered, ended together. */
export class Troupe {
  readonly config: EnvConfig = configFromEnv()
  /** With Redis: two processes of each example. */
  readonly shared = this.config.options.redis !== undefined
  readonly all: Backend[] = []
  readonly #options: TroupeOptions
  #database: Promise<string> | undefined
  /** Ends last: the backends still write to it. */
  #databaseServer: Backend | undefined
  /** Ports are looked for one after another: two who look at once find the same one. */
  #ports: Promise<unknown> = Promise.resolve()
  readonly #taken = new Set<number>()
  #count = 0
  readonly #adminToken = randomBytes(24).toString('base64url')
  readonly #run = randomBytes(4).toString('hex')

  constructor(options: TroupeOptions) {
    this.#options = options
  }

  /** One process of an example, or with Redis two that share everything. */
  async bring(name: string, example: Example): Promise<readonly Backend[]> {
    if (this.shared) await this.#emptyCache(name, example)
    const env = {
      HOLDFAST_NAMESPACE: this.#namespaceOf(name, example),
      WORKER: 'inline',
      ADMIN_TOKEN: this.#adminToken,
      ENCRYPTION_KEY: process.env.ENCRYPTION_KEY || randomBytes(32).toString('base64'),
      // Services that somebody else pays for are not asked by a demo.
      ...{ UPSTREAM_URL: '', LLM_URL: '', META_URL: '', GOOGLE_ADS_URL: '', GA4_URL: '' },
      ...(example.hasDatabase && { DATABASE_URL: await this.#databaseUrl() }),
    }
    const first = await this.#start(example, env)
    if (!this.shared) return [first]
    return [first, await this.#start(example, { ...env, ...example.share?.(first) })]
  }

  async end(): Promise<void> {
    await Promise.all(this.all.map((backend) => backend.stop()))
    await this.#databaseServer?.stop()
  }

  async #start(example: Example, env: NodeJS.ProcessEnv): Promise<Backend> {
    const { port = example.port, scratch, ended } = this.#options
    const free = this.#ports.then(() => freePort(port, this.#taken))
    this.#ports = free
    const PORT = await free
    this.#taken.add(PORT)
    // Two that found any port would share one folder by its number.
    const own = { PORT: String(PORT), CHATBOT_DIR: join(scratch, String(++this.#count)) }
    const backend = await startBackend(scriptOf(example.server), { ...env, ...own }, ended)
    this.all.push(backend)
    return backend
  }

  /** That of the environment, else one for all. */
  #databaseUrl(): Promise<string> {
    this.#database ??= process.env.DATABASE_URL
      ? Promise.resolve(process.env.DATABASE_URL)
      : startBackend(scriptOf('simulators/postgres.ts'), {}, this.#options.ended).then((started) => {
          this.#databaseServer = started
          return started.database
        })
    return this.#database
  }

  /** So that the first call of the tour is a first call, also the second time that the demo runs. */
  async #emptyCache(name: string, example: Example): Promise<void> {
    const { options, target } = this.config
    await using hf = holdfast({ ...options, namespace: this.#namespaceOf(name, example) })
    try {
      await hf.ready('10s')
      await hf.cache.clear({ wait: 'commit' })
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(
        `The environment names a Redis at ${target}, but: ${why}. Start it, or unset REDIS_URL.`,
      )
    }
  }

  /** What was counted against a limit a minute ago is not to count against this run. */
  #namespaceOf(name: string, { isLimited }: Example): string {
    return [NAMESPACE, name, ...(isLimited ? [this.#run] : [])].join('-')
  }
}
