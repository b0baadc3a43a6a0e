/**
 * Throw-away certificates by openssl, as PEM text: an authority, a server certificate for localhost
 * and 127.0.0.1, and a client certificate. Made once per process; nothing stays on disk.
 *
 *   const { ca, server, client } = makeCerts()
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface TestCerts {
  readonly ca: string
  readonly server: KeyPair
  readonly client: KeyPair
}

let made: TestCerts | undefined

export function makeCerts(): TestCerts {
  made ??= make()
  return made
}

function make(): TestCerts {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-certs-'))
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const newKey = (name: string) =>
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', name)
  const read = (name: string) => readFileSync(join(dir, name), 'utf8')
  const pair = (name: string, extensions: string): KeyPair => {
    writeFileSync(join(dir, 'extensions'), `${extensions}\n`)
    newKey(`${name}.key`)
    openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', 'request')
    openssl(
      ...['x509', '-req', '-in', 'request', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'],
      ...['-days', '2', '-extfile', 'extensions', '-out', `${name}.crt`],
    )
    return { cert: read(`${name}.crt`), key: read(`${name}.key`) }
  }
  try {
    newKey('ca.key')
    openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      'ca.key',
      '-days',
      '2',
      '-subj',
      '/CN=test authority',
      '-out',
      'ca.crt',
    )
    return {
      ca: read('ca.crt'),
      server: pair('server', 'subjectAltName=DNS:localhost,IP:127.0.0.1'),
      client: pair('client', 'extendedKeyUsage=clientAuth'),
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
