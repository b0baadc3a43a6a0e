import { createHash } from 'node:crypto'

/** What may be shown of an owner's name, which is what proves that a lease is its own. */
export const holderName = (owner: string): string =>
  createHash('sha256').update(owner).digest('base64url').slice(0, 12)
