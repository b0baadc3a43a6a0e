import { View } from '../parts/view.tsx'
import { ClearEverything } from './clear-everything.tsx'
import { ClearByPattern } from './clear-pattern.tsx'
import { ClearByTag } from './clear-tag.tsx'

/** Counted first, then typed, then done: nobody clears by accident. */
export function Clear() {
  return (
    <View
      title="Clear"
      about="Drops cache entries and nothing else: limits, locks, sessions, run-once records and queues stay as they are."
    >
      <div class="columns">
        <ClearByTag />
        <ClearByPattern />
      </div>
      <ClearEverything />
    </View>
  )
}
