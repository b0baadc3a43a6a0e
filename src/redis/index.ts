/** The supervised connection, for a capability that is used alone: `createCache({ redis: connectRedis(url) })`. */
export { connectRedis, type RedisClientLike, type RedisSource } from './connect.ts'
export type { RedisOptions } from './options.ts'
export type { NodeHealth, NodeState, RedisHealth, RedisPort } from './port.ts'
export type { RedisSettings } from './settings.ts'
