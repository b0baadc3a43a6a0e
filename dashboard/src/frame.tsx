import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { access, may } from './api/access.ts'
import { dropToken, token } from './api/credentials.ts'
import { type Connection, connection, paused } from './api/live.ts'
import { hrefOf, place } from './api/place.ts'
import { nextTheme, type Theme, theme } from './api/theme.ts'
import { VIEWS } from './views.ts'

/** What stands around every view: who and what one looks at, whether it moves, and where else to go. */
export function Frame({ children }: { readonly children: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false)
  const main = useRef<HTMLElement>(null)
  const { view } = place.value
  // A chosen view closes the menu that it was chosen from.
  useEffect(() => setOpen(false), [view])
  return (
    <div class="frame">
      <header class="bar">
        <a
          class="skip"
          href={hrefOf(view)}
          onClick={(event) => {
            event.preventDefault()
            main.current?.focus()
          }}
        >
          Skip to content
        </a>
        <button
          type="button"
          class="button menu-button"
          aria-expanded={isOpen}
          aria-controls="nav"
          onClick={() => setOpen(!isOpen)}
        >
          Menu
        </button>
        <Brand />
        <div class="bar-end">
          {may('stats') && <LiveState />}
          <button
            type="button"
            class="button"
            data-kind="quiet"
            onClick={nextTheme}
            aria-label={`Theme: ${THEMES[theme.value]}`}
          >
            {THEMES[theme.value]}
          </button>
          {token.value !== undefined && (
            <button type="button" class="button sign-out" data-kind="quiet" onClick={() => dropToken()}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <Navigation isOpen={isOpen} view={view} />
      <main ref={main} class="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  )
}

const THEMES: Readonly<Record<Theme, string>> = { system: 'Auto', light: 'Light', dark: 'Dark' }

function Brand() {
  const now = access.value
  return (
    <>
      <a class="brand" href={hrefOf('')}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" fill="#0f6e7c" />
          <path
            d="M10 7v18M22 7v18M10 16h12"
            stroke="#fff"
            stroke-width="3.5"
            stroke-linecap="round"
            fill="none"
          />
        </svg>
        Holdfast
      </a>
      {now.state === 'in' && (
        <span class="target">
          {now.me.target}
          {now.me.namespace === undefined ? '' : ` · ${now.me.namespace}`} · {now.me.name}
        </span>
      )}
    </>
  )
}

const STATES: Readonly<Record<Connection, readonly [text: string, tone: string | undefined]>> = {
  connecting: ['Connecting', undefined],
  live: ['Live', 'good'],
  polling: ['Every few s', 'warn'],
  lost: ['No answer', 'bad'],
}

function LiveState() {
  const isPaused = paused.value
  const [text, tone] = isPaused ? (['Paused', undefined] as const) : STATES[connection.value]
  return (
    <>
      <span class="live" role="status">
        <span class="dot" data-tone={tone} aria-hidden="true" />
        <span class="hidden">Figures: </span>
        <span>{text}</span>
      </span>
      <button
        type="button"
        class="button"
        data-kind="quiet"
        aria-pressed={isPaused}
        onClick={() => {
          paused.value = !isPaused
        }}
      >
        Pause
      </button>
    </>
  )
}

function Navigation({ isOpen, view }: { readonly isOpen: boolean; readonly view: string }) {
  const groups = [...new Set(VIEWS.map(({ group }) => group))]
  return (
    <nav class="nav" id="nav" aria-label="Views" data-open={isOpen}>
      {groups.map((group) => (
        <div key={group}>
          {group !== '' && <h2>{group}</h2>}
          <ul>
            {VIEWS.filter((entry) => entry.group === group).map(({ name, title, needs }) => (
              <li key={name}>
                <a href={hrefOf(name)} aria-current={name === view ? 'page' : undefined}>
                  {title}
                  {!may(needs) && <span class="nav-note">no access</span>}
                </a>
              </li>
            ))}
          </ul>
        </div>
      ))}
      {token.value !== undefined && isOpen && (
        <button type="button" class="button" onClick={() => dropToken()}>
          Sign out
        </button>
      )}
    </nav>
  )
}
