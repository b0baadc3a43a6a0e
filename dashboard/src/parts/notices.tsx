import { notices, putAway } from '../api/notices.ts'

/** Fixed in a corner: what it says moves nothing else. */
export function Notices() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {notices.value.map(({ id, text, tone }) => (
        <div key={id} class="toast" data-tone={tone}>
          <span class="wrap">{text}</span>
          <button
            type="button"
            class="button"
            data-kind="quiet"
            aria-label="Dismiss"
            onClick={() => putAway(id)}
          >
            ×
          </button>
        </div>
      ))}
    </div>
  )
}
