import { ServerResponse } from 'node:http'
import {
  Controller,
  type DynamicModule,
  type FactoryProvider,
  Get,
  Inject,
  Module,
  type ModuleMetadata,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
  Res,
  type Type,
} from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import { systemClock } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import { beginDraining } from '../http/draining.ts'
import { type HealthOptions, healthReply } from '../http/health.ts'
import { sendReply } from '../http/node-bridge.ts'
import { type DrainableServer, openAnswers, sweep } from '../http/shutdown.ts'
import { type HealthSetup, HOLDFAST, HOLDFAST_OPTIONS, type HoldfastModuleOptions } from './tokens.ts'

/** Options of `forRootAsync`: those of `forRoot` come from a factory. */
export interface HoldfastAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  readonly inject?: FactoryProvider['inject'] | undefined
  readonly useFactory: (...injected: never[]) => HoldfastModuleOptions | Promise<HoldfastModuleOptions>
  /** Path of a health endpoint. @default none */
  readonly health?: HealthSetup | undefined
}

const KNOWN = ['holdfast', 'cache', 'close', 'health']

/**
 * Holdfast for Nest: import it once, in the root module. It gives `HOLDFAST` to every module, and the
 * decorators `@Cached @RateLimit @Idempotent @Locked` something to work with.
 *
 *   @Module({ imports: [HoldfastModule.forRoot({ holdfast: holdfast({ redis }), health: 'health' })] })
 */
export class HoldfastModule implements OnModuleInit, OnModuleDestroy, OnApplicationShutdown {
  readonly #options: HoldfastModuleOptions
  readonly #host: HttpAdapterHost
  #answers: { hurry(): void } | undefined
  #stop: (() => void) | undefined

  constructor(options: HoldfastModuleOptions, host: HttpAdapterHost) {
    this.#options = options
    this.#host = host
  }

  /** The module over an instance that is there. Global. */
  static forRoot(
    options: HoldfastModuleOptions & { readonly health?: HealthSetup | undefined },
  ): DynamicModule {
    refuseUnknown(options, KNOWN, 'HoldfastModule.forRoot()')
    return moduleOf({ useFactory: () => options, health: options.health })
  }

  /** The same with options from a factory. */
  static forRootAsync(options: HoldfastAsyncOptions): DynamicModule {
    refuseUnknown(options, ['imports', 'inject', 'useFactory', 'health'], 'HoldfastModule.forRootAsync()')
    return moduleOf(options)
  }

  onModuleInit(): void {
    const server: unknown = this.#host.httpAdapter?.getHttpServer()
    if (isServer(server)) this.#answers = openAnswers(server)
  }

  /** First of the shutdown hooks: the port is still open. */
  onModuleDestroy(): void {
    beginDraining(this.#options.holdfast)
    this.#answers?.hurry()
    const server: unknown = this.#host.httpAdapter?.getHttpServer()
    if (isServer(server)) this.#stop = sweep(server, systemClock)
  }

  /** Last of them: the server has answered what was open. */
  async onApplicationShutdown(): Promise<void> {
    this.#stop?.()
    if (this.#options.close !== false) await this.#options.holdfast.close()
  }
}
Module({})(HoldfastModule)
Inject(HOLDFAST_OPTIONS)(HoldfastModule, undefined, 0)
Inject(HttpAdapterHost)(HoldfastModule, undefined, 1)

function moduleOf({ imports = [], inject = [], useFactory, health }: HoldfastAsyncOptions): DynamicModule {
  return {
    module: HoldfastModule,
    global: true,
    imports,
    controllers: health === undefined ? [] : [healthController(health)],
    providers: [
      { provide: HOLDFAST_OPTIONS, useFactory, inject },
      { provide: HOLDFAST, useFactory: instanceOf, inject: [HOLDFAST_OPTIONS] },
    ],
    exports: [HOLDFAST, HOLDFAST_OPTIONS],
  }
}

function instanceOf({ holdfast }: HoldfastModuleOptions): Holdfast {
  if (typeof holdfast?.health === 'function') return holdfast
  throw new InvalidOption('HoldfastModule was given no instance', 'give { holdfast: holdfast() }')
}

function healthController(setup: HealthSetup): Type {
  const { path, ...options }: HealthOptions & { path: string } =
    typeof setup === 'string' ? { path: setup } : setup
  class HealthController {
    readonly #holdfast: Holdfast

    constructor(holdfast: Holdfast) {
      this.#holdfast = holdfast
    }

    check(response: unknown): void {
      const raw = response instanceof ServerResponse ? response : Reflect.get(Object(response), 'raw')
      if (response !== raw) Reflect.get(Object(response), 'hijack').call(response)
      void sendReply(raw, healthReply(this.#holdfast, options))
    }
  }
  Controller(path)(HealthController)
  Inject(HOLDFAST)(HealthController, undefined, 0)
  const check = Object.getOwnPropertyDescriptor(HealthController.prototype, 'check')
  if (check) Get()(HealthController.prototype, 'check', check)
  Res()(HealthController.prototype, 'check', 0)
  return HealthController
}

function isServer(value: unknown): value is DrainableServer {
  return typeof value === 'object' && value !== null && 'closeIdleConnections' in value
}
