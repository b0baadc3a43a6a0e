import { useEffect, useRef, useState } from 'preact/hooks'
import { enter } from '../api/access.ts'
import { dropToken, keepToken, token } from '../api/credentials.ts'
import type { Refusal } from '../api/request.ts'
import { Field } from '../parts/field.tsx'
import { Refused } from '../parts/state.tsx'

/** Asks for a bearer token; it stays in this tab. */
export function SignIn({ refused }: { readonly refused: boolean }) {
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    document.title = 'Sign in · Holdfast'
    form.current?.querySelector('input')?.focus()
  }, [])
  const submit = async (event: Event) => {
    event.preventDefault()
    if (text.trim() === '' || busy) return
    setBusy(true)
    keepToken(text.trim())
    await enter()
    setBusy(false)
  }
  return (
    <main class="gate">
      <form ref={form} class="gate-card" onSubmit={submit}>
        <h1>Holdfast</h1>
        <p class="muted">
          This administration asks who you are. Paste a bearer token; it is kept in this tab only.
        </p>
        <Field label="Token" type="password" value={text} onInput={setText} mono />
        {refused && (
          <p class="tone-bad" role="alert">
            You are not signed in: the token is unknown, expired, or was put away.
          </p>
        )}
        <button type="submit" class="button" data-kind="primary" disabled={text.trim() === '' || busy}>
          Sign in
        </button>
      </form>
    </main>
  )
}

const AGAIN_MS = 5_000

/** Nobody gets in just now: another machine, a server that is away, a role with nothing in it. */
export function Closed({ refusal }: { readonly refusal: Refusal }) {
  useEffect(() => {
    document.title = 'Holdfast'
    if (refusal.status === 403) return
    const timer = setTimeout(() => void enter(), AGAIN_MS)
    return () => clearTimeout(timer)
  }, [refusal])
  return (
    <main class="gate">
      <div class="gate-card">
        <h1>Holdfast</h1>
        <Refused refusal={refusal} retry={() => void enter()} />
        {token.value !== undefined && (
          <button
            type="button"
            class="button"
            onClick={() => {
              dropToken()
              void enter()
            }}
          >
            Use another token
          </button>
        )}
      </div>
    </main>
  )
}
