import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../../', import.meta.url)
const VITE = new URL('node_modules/vite/bin/vite.js', ROOT)

/**
 * A fresh checkout has no dashboard yet: it is built beside the running backends, which look for it
 * again with each request. @returns whether a build began
 */
export function buildDashboard(ended: AbortSignal): boolean {
  const isBuilt = existsSync(new URL('dist/dashboard/index.html', ROOT))
  if (isBuilt || !existsSync(VITE) || !existsSync(new URL('dashboard/vite.config.ts', ROOT))) return false
  const build = spawn(process.execPath, [fileURLToPath(VITE), 'build', 'dashboard'], {
    cwd: fileURLToPath(ROOT),
    stdio: 'ignore',
    signal: ended,
  })
  build.on('error', () => {}) // it was ended with us; without it the page says how to build it
  return true
}
