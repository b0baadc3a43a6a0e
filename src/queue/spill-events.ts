import { eventChannel } from '../base/events.ts'

/** A local file was cut, damaged or refused a write. Never an id, a key or a payload. */
export interface SpillEvent {
  readonly queue: string
  /**
   * `torn`: a write had not ended and was cut off; nothing that was acknowledged is in it. `damage`:
   * bytes that were acknowledged have rotted. `refused`: the disk did not take a write. `unsynced`:
   * the disk did not confirm what was acknowledged before; it is being written anew.
   */
  readonly kind: 'torn' | 'damage' | 'refused' | 'unsynced'
  readonly bytes: number
  /** Code of the system's error: ENOSPC, EIO. */
  readonly code: string | undefined
}

/** `holdfast:queue:spill` */
export const spillEvents = eventChannel<SpillEvent>('holdfast:queue:spill')
