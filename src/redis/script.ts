import { createHash } from 'node:crypto'

/** A Lua script as the server knows it. Text lives as a string module beside its capability. */
export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha: string
}

export function defineScript(name: string, lua: string): Script {
  return { name, lua, sha: createHash('sha1').update(lua).digest('hex') }
}

/** Server time in ms as `now` and in µs as `now_us`; put first in scripts that need either. */
export const LUA_NOW = `
local time_ = redis.call('TIME')
local now = time_[1] * 1000 + math.floor(time_[2] / 1000)
local now_us = time_[1] * 1000000 + time_[2]
`

/**
 * Refuses to run late: an abandoned call that reaches the server after its deadline has no effect.
 * Expects `now`; `deadline` is server ms as a string, '0' = none.
 */
export const luaDeadline = (arg: string): string => `
local deadline_ = tonumber(${arg})
if deadline_ > 0 and now > deadline_ then return redis.error_reply('LATE deadline passed before execution') end
`
