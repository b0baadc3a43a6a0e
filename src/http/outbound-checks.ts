import { InvalidOption } from '../base/errors.ts'

export function share(value: number | undefined, where: string): number {
  if (value === undefined) return 0
  if (typeof value === 'number' && value >= 0 && value < 1) return value
  throw new InvalidOption(`${where} is not a share`, 'give a number from 0 up to, not including, 1')
}

export function bytes(value: number, where: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new InvalidOption(`${where} is not a number of bytes`, 'give a whole number from 0 up')
}

export function strings(list: readonly string[] | undefined, where: string): readonly string[] {
  if (list === undefined) return []
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list
  throw new InvalidOption(`${where} is not a list of names`, `write ['name']`)
}

export function optionalFunction<F>(value: F | undefined, where: string): F | undefined {
  if (value === undefined || typeof value === 'function') return value
  throw new InvalidOption(`${where} is not a function`, 'write (request) => …')
}

export function listOrFunction<F>(value: F | undefined, where: string): F | undefined {
  if (typeof value !== 'function') strings(value as readonly string[] | undefined, where)
  return value
}
