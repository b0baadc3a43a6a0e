import { systemRandom } from '../../src/base/random.ts'
import { createCache } from '../../src/cache/create.ts'
import { MemoryStore } from '../../src/cache/memory-store.ts'
import type { CacheBackend } from '../../src/testing/cache-backend.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

/** Caches over one memory store, as if each were a process of its own, on a clock that tests move. */
export async function memoryBackend(): Promise<CacheBackend & { readonly clock: FakeClock }> {
  const clock = new FakeClock()
  return {
    clock,
    async open(setup = {}) {
      const store = new MemoryStore({ clock, random: systemRandom })
      const first = createCache({ ...setup, store, clock })
      const second = createCache({ ...setup, store, clock })
      return {
        first,
        second,
        store,
        async corrupt(key) {
          const entry = store.peek(key)
          if (!entry) throw new Error('nothing to corrupt')
          entry.body = '{"cut'
          entry.memo = undefined
        },
      }
    },
    advance: (ms) => clock.advance(ms),
    close: async () => {},
  }
}
