interface Part {
  close(): unknown
}

/** What a server has opened, and its end: the last opened is closed first, each once. */
export function openedParts(first: Part) {
  const parts = [first]
  return {
    opened<T extends Part>(part: T): T {
      parts.unshift(part)
      return part
    },
    async close(): Promise<void> {
      for (const part of parts.splice(0)) await part.close()
    },
  }
}
