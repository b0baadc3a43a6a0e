import type { Customer } from './database.ts'

const EMAIL = /[\w.+-]{1,64}@(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.){1,4}[a-z]{2,24}/i
/** `0912 345 678`, `+84 91-234-5678`, `(024) 3825 7863`: 9 to 15 digits, begun by 0 or +. */
const PHONE = /(?<![\w+])\(?(?:\+\d|0)(?:[\s().-]{0,2}\d){8,14}(?!\d)/
const TELLS_NAME =
  /(?:[Mm]y name is|[Cc]all me|[Tt]ên (?:tôi|em|mình|anh|chị) là|(?:[Tt]ôi|[Ee]m|[Mm]ình) tên(?: là)?)\s+/u
const NAME = /^\p{Lu}[\p{L}\p{M}'’-]{0,30}(?: \p{Lu}[\p{L}\p{M}'’-]{0,30}){0,4}/u

/** What a visitor tells about himself in passing; undefined when it is nothing. */
export function customerInfo(text: string): Partial<Customer> | undefined {
  const email = EMAIL.exec(text)?.[0].toLowerCase()
  const phone = PHONE.exec(text)?.[0].replace(/[^\d+]/g, '')
  const told = TELLS_NAME.exec(text)
  const name = told && NAME.exec(text.slice(told.index + told[0].length))?.[0]
  if (!email && !phone && !name) return undefined
  return { ...(email && { email }), ...(phone && { phone }), ...(name && { name }) }
}
