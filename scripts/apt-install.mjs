/**
 * Installs Debian packages where that can be done without asking (apt-get as root or with
 * password-less sudo), and never starts a service. Does nothing elsewhere.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'

export function aptInstall(...packages) {
  if (process.platform !== 'linux' || spawnSync('apt-get', ['--version']).status !== 0) return
  const root = process.getuid?.() === 0
  if (!root && spawnSync('sudo', ['-n', 'true']).status !== 0) return
  console.log(`${packages.join(', ')}: not found; installing with apt-get`)
  const apt = (...args) => {
    const words = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args]
    const [command, ...rest] = root ? words : ['sudo', '-n', ...words]
    return spawnSync(command, rest, { stdio: 'inherit' })
  }
  // Debian starts a service on install unless this policy says no. Keep one that is already there.
  const policy = '/usr/sbin/policy-rc.d'
  const own = root && !existsSync(policy)
  if (own) {
    mkdirSync('/usr/sbin', { recursive: true })
    writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  }
  try {
    apt('update')
    apt('install', '-y', '--no-install-recommends', ...packages)
  } finally {
    if (own) rmSync(policy, { force: true })
  }
}
