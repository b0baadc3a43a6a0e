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
import { responseCacheOf } from '../http/caches.ts'
import type { HttpCache } from '../http/engine.ts'
import { interpose } from '../http/interpose.ts'
import { CachePassage } from '../http/node-parts.ts'
import type { RouteOptions } from '../http/options.ts'
import { platformOf, settleFields } from './passage.ts'
import { HOLDFAST_OPTIONS, type HoldfastModuleOptions } from './tokens.ts'

const WORDS = 'holdfast:cached'

/** Stands around handlers with `@Cached`, behind every guard. */
export class CachedInterceptor implements NestInterceptor {
  readonly #cache: HttpCache
  readonly #reflector: Reflector

  constructor({ holdfast, cache }: HoldfastModuleOptions, reflector: Reflector) {
    this.#cache = responseCacheOf(holdfast, cache)
    this.#reflector = reflector
  }

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    if (context.getType() !== 'http') return next.handle()
    const route = this.#reflector.getAllAndOverride<RouteOptions>(WORDS, [
      context.getHandler(),
      context.getClass(),
    ])
    settleFields(context)
    const platform = platformOf(context)
    // On a hit it never settles: the answer is sent, and there is nothing for Nest to send.
    return new Promise((resolve, reject) => {
      const proceed = (error?: unknown) => (error === undefined ? resolve(next.handle()) : reject(error))
      interpose(new CachePassage(this.#cache, route, { ...platform, proceed }))
    })
  }
}
Injectable()(CachedInterceptor)
Inject(HOLDFAST_OPTIONS)(CachedInterceptor, undefined, 0)
Inject(Reflector)(CachedInterceptor, undefined, 1)

/**
 * Caches what a handler, or every handler of a controller, answers, by the rules of HTTP:
 * `@Get() @Cached({ ttl: '5m', tags: ['products'] })`, and `@Patch() @Cached({ invalidates: ['products'] })`.
 */
export const Cached = (route: RouteOptions = {}): ClassDecorator & MethodDecorator =>
  applyDecorators(SetMetadata(WORDS, route), UseInterceptors(CachedInterceptor))
