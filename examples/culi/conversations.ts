import type { Holdfast } from 'holdfast'
import type { Sessions } from 'holdfast/session'
import { Problem } from '../tasks/problem.ts'
import type { KiotViet } from './kiotviet.ts'

interface Talk {
  turns: number
  /** What was spoken of last. */
  product?: number
}

/** What the assistant remembers between two messages, in whatever process they arrive. */
export class Conversations {
  readonly #talks: Sessions<Talk>

  constructor(hf: Holdfast) {
    this.#talks = hf.sessions<Talk>('conversation', { idle: '30m', absolute: '12h' })
  }

  async open(user: string): Promise<string> {
    return (await this.#talks.create({ turns: 0 }, { user })).id
  }

  async say(id: string, user: string, text: string, kiotviet: KiotViet) {
    const talk = await this.#talks.load(id)
    if (talk?.user !== user) throw new Problem(404, 'there is no such conversation')
    talk.data.turns++
    const reply = await answer(talk.data, text, kiotviet).catch((error: unknown) => {
      if (error instanceof Problem) return `I cannot tell: ${error.message}.`
      throw error
    })
    await this.#talks.update(talk)
    return { reply, turns: talk.data.turns }
  }
}

/** Stands in for a language model. */
async function answer(talk: Talk, text: string, kiotviet: KiotViet): Promise<string> {
  const wanted = /^price of (.+)$/i.exec(text)?.[1]?.toLowerCase()
  if (wanted) {
    const { body } = await kiotviet.list('products')
    const product = body.data.find(({ name }) => name?.toLowerCase().includes(wanted))
    if (!product) return `There is no ${wanted}.`
    talk.product = product.id
    return `${product.name} costs ${Number(product.basePrice).toLocaleString('en')} ₫.`
  }
  if (/stock|left/i.test(text) && talk.product) {
    const { body } = await kiotviet.one('products', talk.product)
    const left = (body.inventories as { onHand: number }[]).reduce((sum, { onHand }) => sum + onHand, 0)
    return `There are ${left} of ${body.name}.`
  }
  return 'Ask for the price of something, then how many are left.'
}
