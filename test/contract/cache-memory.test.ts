import { afterAll, beforeAll, describe, it } from 'vitest'
import { describeCacheContract } from '../../src/testing/cache-contract.ts'
import { memoryBackend } from '../support/memory-cache.ts'

describeCacheContract({ describe, it, beforeAll, afterAll }, 'memory', memoryBackend)
