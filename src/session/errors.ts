import { HoldfastError } from '../base/errors.ts'

/** The session came from a local copy while Redis is away: it can be read, not changed. */
export class SessionReadOnly extends HoldfastError {
  constructor(options?: ErrorOptions) {
    super(
      'SESSION_READONLY',
      'the session was read from a local copy because Redis does not answer',
      'answer 503 to requests that change the session, and try again when Redis is back',
      options,
    )
  }
}

/** Under `conflict: 'reject'`: somebody else changed the same fields since the session was loaded. */
export class SessionConflict extends HoldfastError {
  readonly fields: readonly string[]

  constructor(fields: readonly string[]) {
    super(
      'SESSION_CONFLICT',
      `${fields.length} field(s) of the session were changed by another request meanwhile`,
      'load the session again and repeat the change, or choose another conflict policy',
    )
    this.fields = fields
  }
}

/** All sessions of the user were revoked between `mark()` and now. */
export class SessionRevoked extends HoldfastError {
  constructor() {
    super(
      'SESSION_REVOKED',
      'the sessions of this user were revoked while the login was being checked',
      'check the credentials again',
    )
  }
}
