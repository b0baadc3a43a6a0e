// Draws what /state says, every two seconds while somebody looks.
const EVERY_MS = 2_000
const place = document.querySelector('#backends')
const state = document.querySelector('#state')
const again = document.querySelector('#again')

const FIGURES = [
  ['asked', 'requests and messages'],
  ['hitRate', 'from the cache', (value) => `${Math.round(value)} %`],
  ['medianMs', 'median time', (value) => `${value} ms`],
  ['calls', 'calls of its upstream'],
  ['cost', 'cost of its LLM', (value) => `$${value.toFixed(5)}`],
  ['refused', 'over a limit'],
  ['failed', 'failed'],
]

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag)
  if (text !== undefined) element.textContent = text
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

function lines(title, code) {
  const details = make('details')
  details.append(make('summary', title))
  const pre = make('pre', undefined, { tabindex: '0', 'aria-label': title })
  pre.append(make('code', code))
  details.append(pre)
  return details
}

function card(backend, dashboardCode) {
  const article = make('article', undefined, { 'data-name': backend.name })
  article.append(make('h2', backend.title), make('p', backend.sentences.join(' ')))
  const links = make('p', undefined, { class: 'links' })
  for (const url of backend.urls) links.append(make('a', url, { href: url }))
  article.append(links, make('dl'), lines('The lines that matter', backend.code))
  if (backend.dashboard) {
    const p = make('p')
    // A fragment is sent to no server, and the dashboard takes it out of the address at once.
    const href = `${backend.dashboard.url}#token=${encodeURIComponent(backend.dashboard.token)}`
    p.append(make('a', 'Its dashboard', { href }), ', live. Its API takes the token ')
    p.append(make('code', backend.dashboard.token))
    article.append(p, lines('The six lines that mount it', dashboardCode))
  }
  article.append(make('small', `${backend.folder}, and its README`))
  return article
}

function show(list, figures) {
  list.replaceChildren()
  for (const [name, label, words = String] of FIGURES) {
    const value = figures[name]
    if (value === undefined || (value === 0 && (name === 'refused' || name === 'failed'))) continue
    list.append(make('dt', label), make('dd', words(value), name === 'failed' ? { class: 'bad' } : {}))
  }
}

async function draw() {
  try {
    const answer = await fetch('/state')
    const now = await answer.json()
    for (const backend of now.backends) {
      let article = place.querySelector(`[data-name=${backend.name}]`)
      if (!article) {
        article = card(backend, now.dashboardCode)
        place.append(article)
      }
      show(article.querySelector('dl'), backend.figures)
    }
    again.hidden = now.traffic
    const where =
      now.target === 'process memory' ? 'in process memory' : `in ${now.target}, shared by two processes each`
    state.textContent = `Caches ${where}. ${now.traffic ? 'Visitors are about.' : 'The visitors have gone home.'}`
  } catch {
    state.textContent = 'The demo has ended.'
    again.hidden = true
  }
}

again.addEventListener('click', async () => {
  await fetch('/traffic', { method: 'POST' })
  await draw()
})
await draw()
setInterval(() => document.hidden || draw(), EVERY_MS)
