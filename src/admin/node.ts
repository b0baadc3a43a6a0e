import type { IncomingMessage, ServerResponse } from 'node:http'
import { sendReply, sendWebResponse, toWebRequest } from '../http/node-bridge.ts'
import { problemReply } from '../http/reply.ts'
import type { Admin } from './admin.ts'

/** A request of node:http, and what a framework has done to it. */
export interface AdminRequest extends IncomingMessage {
  /** The target before a router took its mount path off. */
  readonly originalUrl?: string | undefined
  /** Where a parser of JSON ran before. */
  readonly body?: unknown
}

/**
 * Answers a request of node:http from the administration; resolves when it is answered. Who asks is the
 * peer of the socket, whatever a header says.
 */
export async function answerNode(admin: Admin, req: AdminRequest, res: ServerResponse): Promise<void> {
  let request: Request
  try {
    request = requestOf(req)
  } catch {
    // A request line that is no URL, or a method that nobody may send.
    return sendReply(res, problemReply({ status: 400, detail: 'This is no request that can be answered.' }))
  }
  return sendWebResponse(res, await admin.fetch(request, { address: req.socket.remoteAddress }))
}

function requestOf(req: AdminRequest): Request {
  const hints = req.originalUrl === undefined ? undefined : { url: req.originalUrl }
  const isRead = req.readableEnded || req.readableDidRead
  // A parser took the body off the socket: what it made of it is written out again.
  return toWebRequest(req, hints, isRead ? written(req.body) : undefined)
}

const written = (body: unknown): string => (body === undefined ? '' : JSON.stringify(body))
