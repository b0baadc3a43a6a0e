import { IncomingMessage, ServerResponse } from 'node:http'
import type { ExecutionContext } from '@nestjs/common'
import { ConfigError } from '../base/errors.ts'
import type { NodePassage } from '../http/node-parts.ts'

/** What we use of a reply of Fastify, where Nest runs on it. */
interface FastifyReplyLike {
  readonly raw: ServerResponse
  hijack(): unknown
  getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>
  header(name: string, value: string): unknown
}

/** A request of Nest as node:http has it, on its platform of Express or Fastify. */
export interface Platform extends Omit<NodePassage, 'proceed'> {
  /** The parsed body. */
  readonly body: unknown
  /** Sets a field on the answer that the framework will send. */
  setHeader(name: string, value: string): void
}

/** @throws ConfigError on a platform that is not built on node:http */
export function platformOf(context: ExecutionContext): Platform {
  const http = context.switchToHttp()
  const request: unknown = http.getRequest()
  const response: unknown = http.getResponse()
  const body = isRecord(request) ? request.body : undefined
  if (request instanceof IncomingMessage && response instanceof ServerResponse) {
    const hints = {
      url: textOf(request, 'originalUrl'),
      host: textOf(request, 'host'),
      scheme: schemeOf(request),
    }
    return {
      req: request,
      res: response,
      body,
      hints,
      setHeader: (name, value) => void response.setHeader(name, value),
    }
  }
  if (isRecord(request) && request.raw instanceof IncomingMessage && isReply(response)) {
    const hints = {
      url: textOf(request, 'originalUrl'),
      host: textOf(request, 'host'),
      scheme: schemeOf(request),
    }
    return {
      req: request.raw,
      res: response.raw,
      body,
      hints,
      takeOver: () => void response.hijack(),
      setHeader: (name, value) => void response.header(name, value),
    }
  }
  throw new ConfigError('this platform of Nest is not built on node:http', 'use that of Express or Fastify')
}

/** Fields that Fastify keeps in its reply belong to this request, also where the reply is not sent. */
export function settleFields(context: ExecutionContext): void {
  const response: unknown = context.switchToHttp().getResponse()
  if (!isReply(response)) return
  for (const [name, value] of Object.entries(response.getHeaders())) {
    if (value !== undefined) response.raw.setHeader(name, value)
  }
}

const textOf = (request: object, name: string): string | undefined => {
  const value: unknown = Reflect.get(request, name)
  return typeof value === 'string' ? value : undefined
}

const schemeOf = (request: object): 'http' | 'https' =>
  textOf(request, 'protocol') === 'https' ? 'https' : 'http'

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const isReply = (value: unknown): value is FastifyReplyLike =>
  isRecord(value) && value.raw instanceof ServerResponse && typeof value.hijack === 'function'
