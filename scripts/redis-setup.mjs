#!/usr/bin/env node
/**
 * Makes sure that the programs which the tests and the demo drive are there: redis-server (or what
 * HOLDFAST_REDIS_SERVER names) and openssl. Installs redis-server where it can do so without
 * asking (apt-get as root or with password-less sudo; Homebrew), never starts a service, and
 * otherwise says what to install.
 */
import { spawnSync } from 'node:child_process'
import { aptInstall } from './apt-install.mjs'

const quiet = process.argv.includes('--quiet')
const say = (line) => quiet || console.log(line)
const run = (command, args, options = {}) => spawnSync(command, args, { stdio: 'inherit', ...options })
const version = (command, flag = '--version') => {
  const result = spawnSync(command, [flag], { encoding: 'utf8' })
  return result.status === 0 ? result.stdout.trim().split('\n')[0] : undefined
}
const fail = (message) => {
  console.error(`\n${message}\n`)
  process.exit(1)
}

const named = process.env.HOLDFAST_REDIS_SERVER
let found = version(named || 'redis-server')
if (!found && named)
  fail(
    `HOLDFAST_REDIS_SERVER is '${named}', which does not run. Give the path of a redis-server or valkey-server.`,
  )
if (!found) {
  install()
  found = version('redis-server')
}
if (!found) {
  fail(
    'redis-server (7.0 or newer) is needed and was not found. Install it with one of\n' +
      '  apt-get install redis-server    dnf install redis    apk add redis    brew install redis\n' +
      'or set HOLDFAST_REDIS_SERVER to the path of a redis-server or valkey-server binary.',
  )
}
const major = Number(/\bv=(\d+)\./.exec(found)?.[1])
if (major < 7)
  fail(
    `The tests need Redis 7.0 or newer and found: ${found}. HOLDFAST_REDIS_SERVER can name another binary.`,
  )
say(`server:  ${found}`)

const openssl = version('openssl', 'version')
if (!openssl)
  fail('openssl is needed for the TLS tests and was not found. Install it (apt-get install openssl).')
say(`openssl: ${openssl}`)

function install() {
  if (process.platform === 'darwin' && version('brew')) {
    console.log('redis-server was not found; installing it with Homebrew')
    run('brew', ['install', 'redis'])
    return
  }
  aptInstall('redis-server')
}
