import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  SetMetadata,
  UseInterceptors,
} from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import type { Observable } from 'rxjs'
import { Idempotency, type IdempotencyOptions } from '../http/idempotency.ts'
import { idempotentOnNode } from '../http/node-parts.ts'
import { platformOf, settleFields } from './passage.ts'
import { HOLDFAST_OPTIONS, type HoldfastModuleOptions } from './tokens.ts'

const WORDS = 'holdfast:idempotent'
type Words = IdempotencyOptions<ExecutionContext>

/** Stands around handlers with `@Idempotent`, behind every guard. */
export class IdempotentInterceptor implements NestInterceptor {
  readonly #options: HoldfastModuleOptions
  readonly #reflector: Reflector
  readonly #made = new WeakMap<Words, Idempotency<ExecutionContext>>()

  constructor(options: HoldfastModuleOptions, reflector: Reflector) {
    this.#options = options
    this.#reflector = reflector
  }

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const words = this.#reflector.getAllAndOverride<Words>(WORDS, [context.getHandler(), context.getClass()])
    if (context.getType() !== 'http') return next.handle()
    settleFields(context)
    const platform = platformOf(context)
    // Where the answer is a kept one it never settles: there is nothing for Nest to send.
    return new Promise((resolve, reject) => {
      const proceed = (error?: unknown) => (error === undefined ? resolve(next.handle()) : reject(error))
      idempotentOnNode(this.#of(words), context, platform.body, { ...platform, proceed }).catch(reject)
    })
  }

  #of(words: Words): Idempotency<ExecutionContext> {
    const made =
      this.#made.get(words) ?? new Idempotency<ExecutionContext>(this.#options.holdfast.once, words)
    this.#made.set(words, made)
    return made
  }
}
Injectable()(IdempotentInterceptor)
Inject(HOLDFAST_OPTIONS)(IdempotentInterceptor, undefined, 0)
Inject(Reflector)(IdempotentInterceptor, undefined, 1)

/** Lets a request with an `Idempotency-Key` run once; repeated, it gets the same answer. */
export const Idempotent = (options: Words = {}): ClassDecorator & MethodDecorator =>
  applyDecorators(SetMetadata(WORDS, options), UseInterceptors(IdempotentInterceptor))
