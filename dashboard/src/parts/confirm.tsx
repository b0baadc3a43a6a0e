import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Field } from './field.tsx'

interface Question {
  readonly title: string
  readonly body: ComponentChildren
  /** What the button that does it says: a verb. */
  readonly verb: string
  /** Has to be typed first: for what cannot be undone and is easily too much. */
  readonly type?: string
  readonly run: () => Promise<unknown>
}

const open = signal<Question | undefined>(undefined)

/** Asks before something is done that somebody may regret. */
export function confirm(question: Question): void {
  open.value = question
}

/** The one place where questions appear; the browser keeps the focus inside, and gives it back. */
export function ConfirmDialog() {
  const question = open.value
  return question && <Asked question={question} />
}

function Asked({ question }: { readonly question: Question }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const { title, body, verb, type, run } = question
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    dialog.current?.querySelector<HTMLElement>('input, [data-safe]')?.focus()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  const close = () => {
    open.value = undefined
  }
  const go = async (event: Event) => {
    event.preventDefault()
    if (busy || (type !== undefined && typed !== type)) return
    setBusy(true)
    await run()
    close()
  }
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="confirm-title" onClose={close}>
      <form onSubmit={go}>
        <h2 id="confirm-title">{title}</h2>
        <div>{body}</div>
        {type !== undefined && (
          <Field label={`Type ${type} to confirm`} value={typed} onInput={setTyped} mono />
        )}
        <div class="actions">
          <button type="button" class="button" data-safe onClick={close}>
            Cancel
          </button>
          <button
            type="submit"
            class="button"
            data-kind="danger-fill"
            disabled={busy || (type !== undefined && typed !== type)}
          >
            {verb}
          </button>
        </div>
      </form>
    </dialog>
  )
}
