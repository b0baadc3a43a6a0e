import { describe, expect, it } from 'vitest'
import { botAnswer, type Plan } from './bot.ts'
import { customerInfo } from './customer-info.ts'

describe('what a visitor tells about himself', () => {
  it.each([
    ['My name is Ada Lovelace, and I live here', { name: 'Ada Lovelace' }],
    ['my name is nobody', undefined],
    ['Tôi tên là Nguyễn Thị Hoa', { name: 'Nguyễn Thị Hoa' }],
    ['call me Zoë', { name: 'Zoë' }],
    ['0912 345 678', { phone: '0912345678' }],
    ['reach me on +84 (91) 234-5678 please', { phone: '+84912345678' }],
    ['order 4711 costs 1200000', undefined],
    ['a number that goes on and on 012345678901234567890', undefined],
    ['Write to Ada.Lovelace+shop@example.co.uk.', { email: 'ada.lovelace+shop@example.co.uk' }],
    ['not@an address', undefined],
    [
      'My name is Bo, bo@example.com, 0987.654.321',
      { name: 'Bo', email: 'bo@example.com', phone: '0987654321' },
    ],
    ['', undefined],
  ])('is found in its words: %s [S1-5]', (text, found) => {
    expect(customerInfo(text)).toEqual(found)
  })

  it('is looked for in linear time', () => {
    const from = performance.now()
    for (const piece of ['a.', '0 ', '0-', 'a@', 'my name is ', 'A '])
      customerInfo(piece.repeat(2_000).slice(0, 2_000))
    expect(performance.now() - from).toBeLessThan(1_000)
  })
})

describe('the bot', () => {
  it('follows a plan of several steps, each message by itself [S0-21]', () => {
    let plan: Plan | undefined
    const say = (text: string) => {
      const answer = botAnswer(text, plan)
      plan = answer.plan
      return answer.text
    }
    expect(say('please call me back')).toContain('name')
    expect(say('My name is Ada Lovelace')).toContain('Ada Lovelace')
    expect(say('tomorrow')).toContain('could not read')
    expect(say('0912 345 678')).toBe('We will call you at 0912345678, Ada Lovelace.')
    expect(plan).toBeUndefined()
    say('call back')
    expect(say('never mind')).toContain('no call')
    expect(plan).toBeUndefined()
  })
})
