import { defineConfig } from 'vitest/config'

/**
 * One run over everything: `npm test`. Real servers and two cores: few workers, patient timeouts.
 * Long-running sets (attack, chaos, swarm) bound themselves and read their size from
 * HOLDFAST_TEST_SCALE (1 by default).
 */
export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    expect: { poll: { timeout: 15_000 } },
    globalSetup: ['test/support/global-setup.ts'],
    passWithNoTests: false,
  },
})
