/** Holdfast as a storage adapter of Keyv 5. */
import { type HasCache, KeyvStore, type KeyvStoreOptions } from './store.ts'

export { type HasCache, KeyvStore, type KeyvStoreOptions } from './store.ts'

/** `new Keyv({ store: keyvStore(hf) })`. @throws InvalidOption */
export function keyvStore(instance: HasCache, options?: KeyvStoreOptions): KeyvStore {
  return new KeyvStore(instance, options)
}
