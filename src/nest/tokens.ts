import type { Holdfast } from '../holdfast.ts'
import type { ResponseCacheOptions } from '../http/caches.ts'
import type { HealthOptions } from '../http/health.ts'

/** For injection: `constructor(@Inject(HOLDFAST) private readonly holdfast: Holdfast) {}`. */
export const HOLDFAST: unique symbol = Symbol.for('holdfast.nest')
/** For injection of what the module was configured with. */
export const HOLDFAST_OPTIONS: unique symbol = Symbol.for('holdfast.nest.options')

/** Options of `HoldfastModule.forRoot`. */
export interface HoldfastModuleOptions {
  /** The instance. */
  readonly holdfast: Holdfast
  /** Defaults for `@Cached`. */
  readonly cache?: ResponseCacheOptions | undefined
  /** Close the instance at the shutdown of the application (`enableShutdownHooks`, `app.close`). @default true */
  readonly close?: boolean | undefined
}

/** Path of a health endpoint. */
export type HealthSetup = string | (HealthOptions & { readonly path: string })
