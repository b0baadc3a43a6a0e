import { RedisReplyError } from '../base/errors.ts'
import type { Arg, Reply } from '../redis/link.ts'
import type { RedisNode } from '../redis/port.ts'

/** Long, so that a slow server is examined and its connection not given up: the application shares it. */
export const PATIENCE_MS = 3_000

/** The answer, or undefined where the server refuses or does not know the command. */
export async function ask(node: RedisNode, ...args: readonly Arg[]): Promise<Reply | undefined> {
  try {
    return await node.send(args, { deadline: PATIENCE_MS })
  } catch {
    return undefined
  }
}

/** The word of refusal, or undefined where the server did as asked, or nobody knows. */
export async function refusal(node: RedisNode, args: readonly Arg[]): Promise<RedisReplyError | undefined> {
  try {
    await node.send(args, { deadline: PATIENCE_MS })
    return undefined
  } catch (error) {
    return error instanceof RedisReplyError ? error : undefined
  }
}

/** `CONFIG GET`, `ACL GETUSER`: names and values in turn. */
export function pairs(reply: Reply | undefined): Map<string, Reply> {
  const found = new Map<string, Reply>()
  if (!Array.isArray(reply)) return found
  for (let i = 0; i + 1 < reply.length; i += 2) found.set(String(reply[i]), reply[i + 1]!)
  return found
}
