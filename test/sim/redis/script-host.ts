import { createHash } from 'node:crypto'
import { compileLua, type LuaChunk } from './lua-compile.ts'
import { formatG, LuaError, LuaTable } from './lua-value.ts'
import { ServerError, type ServerReply, Status } from './reply.ts'

/** Runs one command for a script. Throws ServerError where the server refuses. */
export type ScriptCall = (args: readonly string[]) => ServerReply

const compiled = new Map<string, LuaChunk>()
const tables: WeakMap<ScriptCall, LuaTable> = new WeakMap()

export const sha1 = (text: string): string =>
  createHash('sha1').update(Buffer.from(text, 'latin1')).digest('hex')

export function compileScript(sha: string, source: string): LuaChunk {
  const known = compiled.get(sha)
  if (known) return known
  try {
    const chunk = compileLua(source)
    compiled.set(sha, chunk)
    return chunk
  } catch (error) {
    if (!(error instanceof LuaError)) throw error
    throw new ServerError(`ERR Error compiling script (new function): ${error.message}`)
  }
}

export function runScript(
  chunk: LuaChunk,
  sha: string,
  keys: string[],
  argv: string[],
  call: ScriptCall,
): ServerReply {
  try {
    return toReply(chunk(new LuaTable(keys), new LuaTable(argv), redisTable(call)))
  } catch (error) {
    if (!(error instanceof LuaError)) throw error
    const message = error.value instanceof LuaTable ? String(error.value.get('err')) : `ERR ${error.message}`
    return new ServerError(`${message} script: ${sha}, on @user_script:1.`)
  }
}

function redisTable(call: ScriptCall): LuaTable {
  const known = tables.get(call)
  if (known) return known
  const run = (args: unknown[]): unknown => {
    if (args.length === 0)
      throw new LuaError('Please specify at least one argument for this redis.call() call')
    return fromReply(call(args.map(argument)))
  }
  const table = LuaTable.fromObject({
    call: (...args: unknown[]) => {
      try {
        return run(args)
      } catch (error) {
        throw error instanceof ServerError ? new LuaError(error.message, errorTable(error.message)) : error
      }
    },
    pcall: (...args: unknown[]) => {
      try {
        return run(args)
      } catch (error) {
        if (error instanceof ServerError) return errorTable(error.message)
        throw error
      }
    },
    error_reply: (message: unknown) => {
      const text = String(message)
      return errorTable(text.startsWith('-') ? text.slice(1) : text.includes(' ') ? text : `ERR ${text}`)
    },
    status_reply: (message: unknown) => LuaTable.fromObject({ ok: String(message) }),
    sha1hex: (text: unknown) => sha1(String(text)),
    log: () => undefined,
    replicate_commands: () => true,
    setresp: () => undefined,
    LOG_DEBUG: 0,
    LOG_VERBOSE: 1,
    LOG_NOTICE: 2,
    LOG_WARNING: 3,
  })
  tables.set(call, table)
  return table
}

const errorTable = (message: string): LuaTable => LuaTable.fromObject({ err: message })

function argument(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') {
    return Number.isInteger(value) && Math.abs(value) < 1e17 ? String(value) : formatG(value, 17, false)
  }
  throw new LuaError('Lua redis lib command arguments must be strings or integers')
}

function fromReply(reply: ServerReply): unknown {
  if (reply === null) return false
  if (Array.isArray(reply)) return new LuaTable(reply.map(fromReply))
  if (reply instanceof Status) return LuaTable.fromObject({ ok: reply.text })
  if (reply instanceof ServerError) throw reply
  return reply
}

function toReply(value: unknown): ServerReply {
  const one =
    value !== null && typeof value === 'object' && 'values' in value ? (value.values as unknown[])[0] : value
  if (one === undefined || one === false) return null
  if (one === true) return 1
  if (typeof one === 'number') return Math.trunc(one) + 0
  if (typeof one === 'string') return one
  if (!(one instanceof LuaTable)) return null
  const error = one.get('err')
  if (typeof error === 'string') return new ServerError(error)
  const status = one.get('ok')
  if (typeof status === 'string') return new Status(status)
  const items: ServerReply[] = []
  for (let i = 1; one.get(i) !== undefined; i++) items.push(toReply(one.get(i)))
  return items
}
