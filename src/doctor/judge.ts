import type { Check } from './check.ts'
import { accessChecks } from './checks/access.ts'
import { applicationChecks } from './checks/application.ts'
import { connectionChecks } from './checks/connection.ts'
import { memoryChecks } from './checks/memory.ts'
import { serverChecks } from './checks/server.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, type Report, scoreOf } from './finding.ts'

/** All 29, by number. */
export const CHECKS: readonly Check[] = [
  ...connectionChecks,
  ...memoryChecks,
  ...serverChecks,
  ...accessChecks,
  ...applicationChecks,
].sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)))

/** What the evidence means. Pure. */
export function judge(evidence: Evidence): Report {
  const findings = CHECKS.map(({ id, title, judge: check }): Finding => {
    const troubles = evidence.troubles.filter((trouble) => trouble.check === id)
    const [first] = troubles
    if (first === undefined) return { id, title, ...check(evidence) }
    const details = [...new Set(troubles.map(({ detail }) => detail))].join('; ')
    return { id, title, ...fail(details, first.cause, first.mend) }
  })
  const usable =
    evidence.troubles.length === 0 &&
    evidence.refused === undefined &&
    evidence.servers.every(({ refusesWrites, pings }) => refusesWrites === undefined && pings.length > 0)
  const blind = evidence.troubles.length > 0 || evidence.refused !== undefined
  return { score: scoreOf(findings, blind), findings, usable }
}
