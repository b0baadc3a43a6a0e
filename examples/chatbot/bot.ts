import { customerInfo } from './customer-info.ts'

/** The plan of a call back: what is asked for next. */
export type Plan = { step: 'name' } | { step: 'phone'; name: string }

export interface Answer {
  text: string
  /** What to go on with; undefined = nothing is open. */
  plan: Plan | undefined
}

/** A scripted stand-in for a language model, with one plan of several steps to remember. */
export function botAnswer(text: string, plan: Plan | undefined): Answer {
  if (/\b(?:stop|cancel|never ?mind)\b/i.test(text) && plan)
    return { text: 'All right, no call.', plan: undefined }
  if (plan?.step === 'name') {
    const name = customerInfo(text)?.name ?? text.trim().slice(0, 60)
    return { text: `Thank you, ${name}. Which phone number may we call?`, plan: { step: 'phone', name } }
  }
  if (plan?.step === 'phone') {
    const phone = customerInfo(text)?.phone
    if (!phone) return { text: 'I could not read a phone number in that. Please try 0912 345 678.', plan }
    return { text: `We will call you at ${phone}, ${plan.name}.`, plan: undefined }
  }
  if (/\bcall (?:me )?back\b|\bphone me\b|gọi lại/i.test(text)) {
    return { text: 'Gladly. What is your name?', plan: { step: 'name' } }
  }
  if (/\b(?:hi|hello|hey)\b|xin chào/i.test(text)) {
    return { text: 'Hello! Ask me about opening hours, or say “call back”.', plan: undefined }
  }
  if (/\b(?:hours?|open|closed?)\b|giờ mở/i.test(text)) {
    return { text: 'We are open every day from 8:00 to 20:00.', plan: undefined }
  }
  const known = customerInfo(text)
  if (known) return { text: `Noted${known.name ? `, ${known.name}` : ''}.`, plan: undefined }
  return { text: 'I wrote that down. A person reads along and will step in.', plan: undefined }
}
