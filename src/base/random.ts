import { randomBytes } from 'node:crypto'

/** Randomness as a port, for the same reason as `Clock`: one seed replays a whole run. */
export interface Random {
  /** Uniform in [0, 1). For jitter and back-off, never for secrets. */
  float(): number
  /** 96 unguessable bits as 16 base64url characters: epochs, lease tokens, process ids. */
  id(): string
}

export const systemRandom: Random = {
  float: () => Math.random(),
  id: () => randomBytes(12).toString('base64url'),
}
