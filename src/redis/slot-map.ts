import { formatAddress } from './address.ts'
import type { Reply, Target } from './link.ts'

export interface SlotRange {
  readonly from: number
  readonly to: number
  readonly master: Target
}

/**
 * Reads the answer of CLUSTER SLOTS.
 * @param asked whom we asked: a node that does not know its own name leaves the host empty
 */
export function readSlots(reply: Reply, asked: Target): SlotRange[] {
  const ranges: SlotRange[] = []
  for (const row of Array.isArray(reply) ? reply : []) {
    if (!Array.isArray(row)) continue
    const [from, to, master] = row
    if (!Array.isArray(master)) continue
    const host = master[0] === null || master[0] === undefined ? '' : String(master[0])
    // '?' is a node whose host name is not known; the network may still lead to it by way of `asked`.
    ranges.push({
      from: Number(from),
      to: Number(to),
      master: { host: host === '' || host === '?' ? asked.host : host, port: Number(master[1]) },
    })
  }
  return ranges
}

export const mastersOf = (ranges: readonly SlotRange[]): Map<string, Target> =>
  new Map(ranges.map(({ master }) => [formatAddress(master.host, master.port), master]))
