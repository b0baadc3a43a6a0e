import type { IncomingMessage, ServerResponse } from 'node:http'
import { type NodeRequestHints, sendReply, sendWebResponse, toWebRequest } from '../http/node-bridge.ts'
import { problemReply } from '../http/reply.ts'
import type { Admin } from './admin.ts'

/** Answers a request of node:http from the administration; resolves when it is answered. */
export async function answerNode(
  admin: Admin,
  req: IncomingMessage,
  res: ServerResponse,
  hints?: NodeRequestHints,
): Promise<void> {
  let request: Request
  try {
    request = toWebRequest(req, hints)
  } catch {
    // A request line that is no URL, or a method that nobody may send.
    return sendReply(res, problemReply({ status: 400, detail: 'This is no request that can be answered.' }))
  }
  return sendWebResponse(res, await admin.fetch(request, { address: req.socket.remoteAddress }))
}
