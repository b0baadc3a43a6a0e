import type { ComponentChildren } from 'preact'
import type { Permission } from '../../../src/admin/permissions.ts'
import { may } from '../api/access.ts'
import { Refusal } from '../api/request.ts'
import { Refused } from './state.tsx'

interface PermittedProps {
  readonly to: Permission
  readonly children: ComponentChildren
}

/** Asks for nothing that would be refused: the server would note the attempt in its audit log. */
export function Permitted({ to, children }: PermittedProps) {
  return may(to) ? children : <Refused refusal={new Refusal(403, `This needs the permission ${to}.`)} />
}
