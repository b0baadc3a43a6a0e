// The chat of one visitor. Kept in this browser: the id of the chat, and what was not acknowledged.
const KEY = 'chat'
const WAITS = [250, 500, 1_000, 2_000, 5_000]

const [log, form, text, state, notice] = ['log', 'form', 'text', 'state', 'notice'].map((id) =>
  document.getElementById(id),
)
/** Sent and not acknowledged, in order: sent again, with the same ids, on the next connection. */
const unsettled = new Map()
let socket
let tries = 0

function line(sender, body, id) {
  const item = document.createElement('div')
  item.className = sender
  item.dataset.id = id
  const who = document.createElement('span')
  who.className = 'spoken'
  who.textContent = sender === 'visitor' ? 'You: ' : 'Bot: '
  const words = document.createElement('p')
  words.textContent = body
  item.append(who, words)
  log.append(item)
  log.scrollTop = log.scrollHeight
  return item
}

function remark(item, words) {
  let small = item.querySelector('small')
  if (!small) {
    small = document.createElement('small')
    item.append(small)
  }
  small.textContent = words
}

function show(name, words) {
  state.dataset.state = name
  state.textContent = words
}

function send(message) {
  message.at = performance.now()
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ type: 'message', id: message.id, text: message.text }))
  }
}

const told = {
  welcome({ bot, lines }) {
    tries = 0
    show('open', 'Connected')
    sayWho(bot)
    const known = new Set(lines.map(({ id }) => id))
    log.replaceChildren()
    for (const { sender, body, id } of lines) line(sender, body, id)
    for (const message of unsettled.values()) {
      if (!known.has(message.id)) {
        message.item = line('visitor', message.text, message.id)
        remark(message.item, 'sending…')
      } else message.item = log.querySelector(`[data-id="${message.id}"]`)
      send(message)
    }
  },
  ack({ id, bot }) {
    const message = unsettled.get(id)
    if (!message) return
    unsettled.delete(id)
    remark(message.item, `safe after ${Math.max(1, Math.round(performance.now() - message.at))} ms`)
    sayWho(bot)
  },
  reply({ id, text: words }) {
    if (!log.querySelector(`[data-id="${id}.bot"]`)) line('bot', words, `${id}.bot`)
  },
  error({ id, error, detail }) {
    const message = unsettled.get(id)
    if (message) {
      remark(message.item, detail)
      setTimeout(() => unsettled.has(id) && send(message), 1_000)
    } else if (error === 'unknown_chat') localStorage.removeItem(KEY)
    else notice.textContent = detail
  },
}

function sayWho(bot) {
  notice.textContent = bot ? '' : 'A person has taken over. The bot stays silent.'
}

async function chatId() {
  const kept = localStorage.getItem(KEY)
  if (kept) return kept
  const answer = await fetch('/api/v1/chats', { method: 'POST' })
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`)
  const { id } = await answer.json()
  localStorage.setItem(KEY, id)
  return id
}

async function connect() {
  try {
    const address = new URL(`/ws?chat=${encodeURIComponent(await chatId())}`, location.href)
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
    socket = new WebSocket(address)
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data)
      told[frame.type]?.(frame)
    }
    socket.onclose = ({ code }) => {
      if (code === 1007 || code === 1009) {
        // It would be refused every time.
        for (const { item } of unsettled.values()) remark(item, 'not sent: the server does not take it')
        unsettled.clear()
      }
      again()
    }
  } catch {
    again()
  }
}

function again() {
  show('lost', 'Connecting again…')
  const wait = WAITS[Math.min(tries++, WAITS.length - 1)]
  setTimeout(connect, wait * (0.5 + Math.random()))
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const words = text.value.trim()
  text.focus()
  if (!words) return
  text.value = ''
  const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`
  const message = { id, text: words, item: line('visitor', words, id) }
  unsettled.set(id, message)
  remark(message.item, 'sending…')
  send(message)
})

text.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  form.requestSubmit()
})

connect()
