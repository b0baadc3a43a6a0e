#!/usr/bin/env node
/**
 * Makes a real PostgreSQL available to the tests that want one, where that can be done without
 * asking. Never fails: without it those tests say so and are skipped, PGlite's are not.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { aptInstall } from './apt-install.mjs'

const found = () => {
  const named = process.env.HOLDFAST_POSTGRES_BIN
  const packages = '/usr/lib/postgresql'
  const { status, stdout } = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  return [
    ...(named ? [named] : []),
    ...(status === 0 ? [stdout.trim()] : []),
    ...(existsSync(packages) ? readdirSync(packages).map((version) => join(packages, version, 'bin')) : []),
    ...(process.env.PATH ?? '').split(':'),
  ].find((bin) => ['initdb', 'postgres'].every((name) => existsSync(join(bin, name))))
}

if (!found()) aptInstall('postgresql')
const bin = found()
console.log(bin ? `postgres: ${bin}` : 'postgres: none; the tests that need a real server are skipped')
