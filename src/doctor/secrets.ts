/** Kinds of secrets by how they look; a name that only speaks of one (`password-reset:7`) is none. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  ['JWT', /eyJ[\w-]{8,}\.eyJ[\w-]{8,}\./],
  ['bearer token', /\bbearer[ :=]+[\w.~+/-]{16,}/i],
  ['private key', /-----BEGIN [A-Z ]*PRIVATE KEY/],
  [
    'API key',
    /\b(?:sk|pk|rk)_(?:live|test)_\w{8,}|\bsk-[\w-]{20,}|\bAKIA[A-Z\d]{16}\b|\bgh[pousr]_\w{30,}|\bxox[abpr]-[\w-]{10,}/,
  ],
  ['password', /\b(?:password|passwd|client_secret|api_?key|access_token|refresh_token)[=:][^:{}|]{6,}/i],
  ['credentials in a URL', /\w+:\/\/[^\s:/@]*:[^\s:/@]+@/],
]

/** Fields of a JSON value whose content nobody else should read. */
const FIELD =
  /"((?:client_?)?(?:secret|password|passwd)|(?:access|refresh|id)_?token|api_?key|private_?key|card_?number|cvv|iban)"\s*:\s*"[^"]/i

export function secretKindOf(name: string): string | undefined {
  return KINDS.find(([, pattern]) => pattern.test(name))?.[0]
}

/** `hf1`, or what an entry begins with instead. */
export function formatOf(head: string): string {
  return /^hf\d+(?= )/.exec(head)?.[0] ?? 'something else'
}

/** The name of a field with a secret in an entry that is neither encrypted nor compressed. */
export function plainSecretOf(head: string): string | undefined {
  const line = head.indexOf('\n')
  const flags = head.slice(0, line < 0 ? undefined : line).split(' ')[7] ?? '-'
  if (/[bcevmx]/.test(flags)) return undefined
  return FIELD.exec(head.slice(line + 1))?.[1]
}
