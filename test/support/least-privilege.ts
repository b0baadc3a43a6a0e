/**
 * The user that deploy/redis/users.acl gives to an application, for servers of the harness: what runs as
 * it needs no more than it may. With `renamed`, the dangerous commands do not even exist there.
 */
import { readFileSync } from 'node:fs'
import type { RedisServerOptions } from './redis-server.ts'

const PASSWORD = 'application'
const file = readFileSync(new URL('../../deploy/redis/users.acl', import.meta.url), 'utf8')
const rule = file.split('\n').find((line) => line.startsWith('user holdfast ')) ?? ''

/** For `startRedis`. */
export const LEAST_PRIVILEGE = {
  acl: [rule.replace('user ', '').replace('#@APPLICATION@', `>${PASSWORD}`)],
  renamed: true,
} as const satisfies RedisServerOptions

/** Before host and port in a URL. */
export const LEAST_PRIVILEGE_LOGIN = `holdfast:${PASSWORD}`

export const leastPrivilegeUrl = (port: number): string =>
  `redis://${LEAST_PRIVILEGE_LOGIN}@127.0.0.1:${port}`
