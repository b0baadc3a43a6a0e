/** Contract suites: what every backend of a capability must do, for those who write one. */
export { type LimitBackend, limitContract } from './limit-contract.ts'
export { type LockBackend, lockContract } from './lock-contract.ts'
export { lockShapesContract } from './lock-shapes-contract.ts'
export { type OnceBackend, onceContract } from './once-contract.ts'
export { onceStepsContract } from './once-steps-contract.ts'
export { type SessionBackend, sessionContract } from './session-contract.ts'
export type { TestApi } from './test-api.ts'
export { type TokenBackend, tokenContract } from './token-contract.ts'
