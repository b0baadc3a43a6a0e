#!/usr/bin/env node
/**
 * Builds `dist/` from scratch, so that no file of an earlier build survives: `src/` with tsc alone, the
 * dashboard with Vite into `dist/dashboard`.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'

rmSync('dist', { recursive: true, force: true })
for (const command of [
  ['tsc', '-p', 'tsconfig.build.json'],
  ['vite', 'build', 'dashboard'],
]) {
  const { status } = spawnSync('npx', ['--no-install', ...command], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
