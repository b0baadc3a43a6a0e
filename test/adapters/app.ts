import type { Shop } from './shop.ts'

export interface RunningApp {
  readonly url: string
  /** As the adapter does it: drains, and closes the instance. */
  close(): Promise<void>
}

export type AppStart = (shop: Shop) => Promise<RunningApp>

export const FRAMEWORKS = ['express', 'fastify', 'hono', 'nest'] as const
export type Framework = (typeof FRAMEWORKS)[number]
