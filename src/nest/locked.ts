import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  HttpException,
  Inject,
  Injectable,
  type NestInterceptor,
  SetMetadata,
  UseInterceptors,
} from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import { from, lastValueFrom, type Observable } from 'rxjs'
import { LockTimeout, LockUnavailable } from '../lock/errors.ts'
import type { RunOptions } from '../lock/lock.ts'
import { HOLDFAST_OPTIONS, type HoldfastModuleOptions } from './tokens.ts'

const WORDS = 'holdfast:locked'

interface LockWords {
  readonly key: string | ((context: ExecutionContext) => string)
  readonly options: RunOptions
}

/** Stands around handlers with `@Locked`. */
export class LockedInterceptor implements NestInterceptor {
  readonly #options: HoldfastModuleOptions
  readonly #reflector: Reflector

  constructor(options: HoldfastModuleOptions, reflector: Reflector) {
    this.#options = options
    this.#reflector = reflector
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const targets = [context.getHandler(), context.getClass()]
    const { key, options } = this.#reflector.getAllAndOverride<LockWords>(WORDS, targets)
    const name = typeof key === 'function' ? key(context) : key
    const lock = this.#options.holdfast.lock(name, options)
    const work = lock.run(() => lastValueFrom(next.handle(), { defaultValue: undefined }))
    return from(work.catch(refuse))
  }
}
Injectable()(LockedInterceptor)
Inject(HOLDFAST_OPTIONS)(LockedInterceptor, undefined, 0)
Inject(Reflector)(LockedInterceptor, undefined, 1)

/** @throws HttpException for the application's exception filters; else the error itself */
function refuse(error: unknown): never {
  if (error instanceof LockTimeout) {
    throw new HttpException(
      { title: 'Conflict', status: 409, detail: 'Another request is at work on the same.' },
      409,
    )
  }
  if (error instanceof LockUnavailable) {
    const detail = 'The lock could not be asked for; nothing was done. Try again.'
    throw new HttpException({ title: 'Temporarily unavailable', status: 503, detail }, 503)
  }
  throw error
}

/**
 * Lets one request at a time into a handler, over all processes: `@Locked((context) => `plan:${idOf(context)}`)`.
 * Who waits longer than `wait` gets 409.
 */
export const Locked = (key: LockWords['key'], options: RunOptions = {}): ClassDecorator & MethodDecorator =>
  applyDecorators(
    SetMetadata(WORDS, { key, options } satisfies LockWords),
    UseInterceptors(LockedInterceptor),
  )
