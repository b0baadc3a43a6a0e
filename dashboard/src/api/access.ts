import { effect, signal } from '@preact/signals'
import type { Me } from '../../../src/admin/answers/me.ts'
import type { Permission } from '../../../src/admin/permissions.ts'
import { token, wasRefused } from './credentials.ts'
import { ask, Refusal } from './request.ts'

export type Access =
  | { readonly state: 'asking' }
  | { readonly state: 'in'; readonly me: Me }
  | { readonly state: 'needs-token'; readonly refused: boolean }
  | { readonly state: 'closed'; readonly refusal: Refusal }

/** Whether the page may show anything, and as whom. */
export const access = signal<Access>({ state: 'asking' })

let asked: AbortController | undefined

/** Asks who we are; in open mode no token is needed for that. */
export async function enter(): Promise<void> {
  asked?.abort()
  asked = new AbortController()
  const { signal } = asked
  const tried = token.peek() !== undefined
  try {
    access.value = { state: 'in', me: await ask<Me>('me', { signal }) }
  } catch (error) {
    if (signal.aborted || !(error instanceof Refusal)) return
    access.value =
      error.status === 401 ? { state: 'needs-token', refused: tried } : { state: 'closed', refusal: error }
  }
}

/** Back to the form as soon as the token is gone: signed out, or refused in the middle of things. */
export function watchToken(): void {
  effect(() => {
    if (token.value === undefined && access.peek().state === 'in') {
      access.value = { state: 'needs-token', refused: wasRefused }
    }
  })
}

/** Whether the server would say yes; it decides again on every request. */
export const may = (permission: Permission): boolean => {
  const now = access.value
  const granted: readonly string[] = now.state === 'in' ? now.me.permissions : []
  return granted.includes(permission)
}
