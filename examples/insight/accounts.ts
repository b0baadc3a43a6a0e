import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** Stands in for a user directory: `ada@acme:secret,bob@acme:other`, a team behind each `@`. */
export class Accounts {
  readonly #digests = new Map<string, Buffer>()
  /** A name and a password that were made up, where none were given. */
  readonly made: { user: string; password: string } | undefined

  constructor(list: string | undefined) {
    if (!list) this.made = { user: 'ada@acme', password: randomBytes(12).toString('base64url') }
    for (const entry of (list || `${this.made!.user}:${this.made!.password}`).split(',')) {
      const [, user, password] = /^\s*([\w.-]+@[\w.-]+):(.{8,})$/.exec(entry) ?? []
      if (!user || !password)
        throw new Error('ACCOUNTS has an entry that is not name@team:password (8 or more)')
      this.#digests.set(user, digest(password))
    }
  }

  /** Takes the same time whether the name or the password is wrong. */
  knows(user: string, password: string): boolean {
    const known = this.#digests.get(user)
    return timingSafeEqual(known ?? digest(''), digest(password)) && known !== undefined
  }
}

/** Made-up passwords have 96 bits, so that no slow hash is needed here; a directory has one. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

export const teamOf = (user: string): string => user.slice(user.indexOf('@') + 1)
