import type { Evidence, ServerEvidence } from './evidence.ts'
import { skip, type Verdict, worst } from './finding.ts'

export interface Check {
  readonly id: string
  readonly title: string
  judge(evidence: Evidence): Verdict
}

/** A check of each server; the worst of them speaks. */
export function ofServers(
  id: string,
  title: string,
  judge: (server: ServerEvidence, evidence: Evidence) => Verdict,
): Check {
  return {
    id,
    title,
    judge(evidence) {
      if (evidence.driver === 'embedded') return skip('no Redis in use: everything is in process memory')
      if (evidence.servers.length === 0) return skip('no server was reached')
      return worst(
        evidence.servers.map((server) => {
          const verdict = judge(server, evidence)
          return evidence.servers.length === 1
            ? verdict
            : { ...verdict, detail: `${server.roles.join(' and ')} at ${server.address}: ${verdict.detail}` }
        }),
      )
    },
  }
}

export const isData = (server: ServerEvidence): boolean => server.roles.includes('data')

export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

export const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
export const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB']

export function bytes(value: number): string {
  let left = value
  let unit = 0
  while (left >= 1_024 && unit < UNITS.length - 1) {
    left /= 1_024
    unit++
  }
  return `${Math.round(left * 10) / 10} ${UNITS[unit]}`
}
