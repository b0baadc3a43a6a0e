import { Command } from 'commander'
import { type ApiFlags, withApi, withApiOptions } from './api.ts'
import type { Io } from './io.ts'
import { printerOf, withCommon, writeJson } from './session.ts'

type Figures = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export function statsCommand(io: Io): Command {
  return withApiOptions(withCommon(new Command('stats')))
    .description('server, memory, keys, hits and misses')
    .action(async (flags: ApiFlags) => {
      const { body } = await withApi(io, flags, (api) => api.call('GET', '/api/v1/cache/stats'))
      if (flags.json) return writeJson(io, body)
      const out = printerOf(io, flags)
      const { server = {}, memory = {}, stats = {} } = body as Figures
      const row = (label: string, text: unknown) => out.line(`  ${label.padEnd(18)}${String(text)}`)
      out.line(out.bold(`cache ${String(body.namespace)}: ${String(body.status)}, ${String(body.driver)}`))
      row('version', server.version)
      row('uptime', `${String(server.uptime_seconds)} s`)
      row('clients', server.connected_clients)
      row('used memory', `${String(memory.used_memory)} (peak ${String(memory.peak_memory)})`)
      row('maxmemory', memory.maxmemory_bytes === 0 ? 'no limit' : `${String(memory.maxmemory_bytes)} bytes`)
      row('eviction policy', memory.eviction_policy)
      row('keys', `${String(stats.total_keys)}${stats.total_keys_exact ? '' : ' or more'}`)
      row('hits, misses', `${String(stats.hits)}, ${String(stats.misses)} (of the process asked)`)
      row('hit rate', `${String(stats.hit_rate)} %`)
    })
}
