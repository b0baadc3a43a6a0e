import { createHmac, timingSafeEqual } from 'node:crypto'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'

/** How a webhook was signed. */
export interface SignatureOptions {
  /** Of the HMAC. @default 'sha256' */
  readonly algorithm?: 'sha1' | 'sha256' | 'sha512' | undefined
  /** How the signature is written. @default 'hex' */
  readonly encoding?: 'hex' | 'base64' | undefined
}

/**
 * Whether a webhook was signed by who knows the secret: HMAC (RFC 2104) over the raw bytes of its
 * body, as `X-Hub-Signature` and its like carry it, with or without `sha256=` in front. Compared in
 * constant time. Hand in the body as it was received: parsed and written anew it is another text.
 * @throws InvalidOption for a secret that is empty
 */
export function verifySignature(
  secret: string | Uint8Array,
  body: string | Uint8Array,
  signature: string | readonly string[] | null | undefined,
  options: SignatureOptions = {},
): boolean {
  refuseUnknown(options, ['algorithm', 'encoding'], 'verifySignature()')
  const { algorithm = 'sha256', encoding = 'hex' } = options
  if (!LENGTH[algorithm] || (encoding !== 'hex' && encoding !== 'base64')) {
    throw new InvalidOption('the algorithm or encoding is not one that is known', `use 'sha256' and 'hex'`)
  }
  if (secret === undefined || secret === null || secret.length === 0) {
    throw new InvalidOption(
      'the secret of a webhook is empty',
      'anybody could sign: give the one that was registered',
    )
  }
  // Sent twice, there is no telling which one is meant.
  if (typeof signature !== 'string') return false
  const given = signature.trim().replace(new RegExp(`^${algorithm}=`, 'i'), '')
  if (!(encoding === 'hex' ? /^[0-9a-f]+$/i : /^[A-Za-z0-9+/]+={0,2}$/).test(given)) return false
  const claimed = Buffer.from(given, encoding)
  const right = createHmac(algorithm, secret).update(body).digest()
  return claimed.length === right.length && timingSafeEqual(claimed, right)
}

const LENGTH: Readonly<Record<string, number>> = { sha1: 20, sha256: 32, sha512: 64 }
