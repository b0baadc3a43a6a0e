/** The code of a system error: 'ENOENT', 'ECONNREFUSED'. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
