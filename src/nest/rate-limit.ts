import {
  applyDecorators,
  type CanActivate,
  type ExecutionContext,
  HttpException,
  Inject,
  Injectable,
  SetMetadata,
  UseGuards,
} from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import { limitOnNode } from '../http/node-parts.ts'
import { RateLimit as Limit, type RateLimitOptions } from '../http/rate-limit.ts'
import type { LimiterOptions } from '../limit/options.ts'
import type { Limits } from '../limit/policy.ts'
import { platformOf } from './passage.ts'
import { HOLDFAST_OPTIONS, type HoldfastModuleOptions } from './tokens.ts'

const WORDS = 'holdfast:rate-limit'

/** As for every adapter, and the options of the limiter itself, which is made at the first request. */
export interface NestRateLimitOptions extends RateLimitOptions<ExecutionContext> {
  readonly limiter?: LimiterOptions | undefined
}

interface LimitWords {
  readonly name: string
  readonly limits: Limits
  readonly options: NestRateLimitOptions
}

/** Stands in front of handlers with `@RateLimit`, behind guards that are listed above it. */
export class RateLimitGuard implements CanActivate {
  readonly #options: HoldfastModuleOptions
  readonly #reflector: Reflector
  readonly #limits = new WeakMap<LimitWords, Limit<ExecutionContext>>()

  constructor(options: HoldfastModuleOptions, reflector: Reflector) {
    this.#options = options
    this.#reflector = reflector
  }

  /** @throws HttpException with problem details, for the application's exception filters */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()]
    const words = this.#reflector.getAllAndOverride<LimitWords | undefined>(WORDS, targets)
    if (context.getType() !== 'http' || !words) return true
    const platform = platformOf(context)
    const refusal = await limitOnNode(this.#limitOf(words), context, platform)
    if (!refusal) return true
    const lines = refusal.headers
    for (let at = 0; at + 1 < lines.length; at += 2) {
      if (lines[at] !== 'Content-Length') platform.setHeader(lines[at]!, lines[at + 1]!)
    }
    const problem = JSON.parse(Buffer.from(refusal.body ?? []).toString()) as Record<string, unknown>
    throw new HttpException(problem, refusal.status)
  }

  #limitOf(words: LimitWords): Limit<ExecutionContext> {
    const known = this.#limits.get(words)
    if (known) return known
    const { limiter: settings, ...options } = words.options
    const limiter = this.#options.holdfast.limiter(words.name, words.limits, settings)
    const made = new Limit<ExecutionContext>(limiter, options)
    this.#limits.set(words, made)
    return made
  }
}
Injectable()(RateLimitGuard)
Inject(HOLDFAST_OPTIONS)(RateLimitGuard, undefined, 0)
Inject(Reflector)(RateLimitGuard, undefined, 1)

/**
 * Lets so many requests through, and answers the rest with 429, `Retry-After` and problem details:
 * `@RateLimit('chat', '20/minute', { by: (context) => ({ user: userOf(context) }) })`. The same name
 * elsewhere counts together. Without `by` the client's address counts.
 */
export const RateLimit = (
  name: string,
  limits: Limits,
  options: NestRateLimitOptions = {},
): ClassDecorator & MethodDecorator =>
  applyDecorators(
    SetMetadata(WORDS, { name, limits, options } satisfies LimitWords),
    UseGuards(RateLimitGuard),
  )
