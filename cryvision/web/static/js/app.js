// The frame of the page: views by address, theme, help, honesty line.

import { get } from './api.js'
import { askWho, showHelp } from './dialogs.js'
import { append, fill, h, icon, setIcon, toast } from './dom.js'
import { applyTheme, drafts, nextTheme, settings } from './settings.js'
import { openView } from './open.js'
import { clipView } from './clip.js'
import { liveView } from './live.js'

const main = document.getElementById('main')
const honesty = document.getElementById('honesty')
const person = document.getElementById('person')
const theme = document.getElementById('theme')

let session = null
let leave = null
let shown = null
let routing = Promise.resolve() // one view is left before the next is entered
let entered = new AbortController() // of the view that is shown, or still loads

/** Show the line on what results are worth; it stays at the foot of every view. */
function showHonesty (line) {
  fill(honesty, icon('info'), h('span', {}, line))
  const bundle = session?.bundle?.name
  if (bundle) append(honesty, [h('span.bundle', { title: session.bundle.sha256 || '' }, `bundle ${bundle} · cryvision ${session.version}`)])
}

function showTheme (chosen) {
  const names = { auto: 'as the system', light: 'light', dark: 'dark' }
  setIcon(theme, { auto: 'auto', light: 'sun', dark: 'moon' }[chosen], `Theme: ${names[chosen]}`)
}

/** Show who corrects. */
export function showPerson () {
  const name = session?.who || settings.who
  person.hidden = !name
  person.disabled = Boolean(session?.who)
  fill(person, icon('user'), h('span', {}, name))
  person.setAttribute('aria-label', `Corrections by ${name}`)
}

/** Read from the address which view is wanted, and of which clip. */
function wanted () {
  const [view, id] = location.hash.replace(/^#/, '').split('/')
  const name = ['open', 'clip', 'live'].includes(view) ? view : 'open'
  return { name, id, here: `${name}/${id || ''}` }
}

async function route () {
  const { name, id, here } = wanted()
  if (shown === here) return
  shown = here
  try { await leave?.() } finally { leave = null }
  for (const tab of document.querySelectorAll('.tabs a')) {
    const current = tab.dataset.view === name || (name === 'clip' && tab.dataset.view === 'open')
    if (current) tab.setAttribute('aria-current', 'page')
    else tab.removeAttribute('aria-current')
  }
  document.body.dataset.view = name
  main.replaceChildren()
  if (session.honesty) showHonesty(session.honesty)
  const views = { open: openView, clip: clipView, live: liveView }
  entered = new AbortController()
  try {
    leave = await views[name](main, session, entered.signal, id ? decodeURIComponent(id) : undefined)
  } catch (error) {
    if (error.name === 'AbortError') return
    fill(main, h('section.empty', {}, icon('warn'), h('h1', {}, name === 'clip' ? 'This clip cannot be shown' : 'Something went wrong'),
      h('p', {}, error.message), h('a.button', { href: '#open' }, 'All clips')))
  }
  main.focus({ preventScroll: true })
}

async function start () {
  showTheme(applyTheme())
  drafts.sweep()
  theme.addEventListener('click', () => showTheme(nextTheme()))
  const help = document.getElementById('help')
  fill(help, icon('help'))
  help.addEventListener('click', showHelp)
  person.addEventListener('click', async () => { await askWho(); showPerson() })
  addEventListener('keydown', (e) => {
    const typing = e.target.closest?.('input:not([type=checkbox],[type=radio],[type=range]), textarea, select, [contenteditable]')
    if (e.key === '?' && !typing && settings.singleKeys) { e.preventDefault(); showHelp() }
  })
  try {
    session = await get('/api/session')
  } catch (error) {
    return fill(main, h('section.empty', {}, icon('warn'), h('h1', {}, 'The server does not answer'), h('p', {}, error.message),
      h('button.primary', { type: 'button', onclick: () => location.reload() }, 'Try again')))
  }
  showPerson()
  addEventListener('hashchange', () => {
    if (wanted().here !== shown) entered.abort()
    routing = routing.then(route)
  })
  addEventListener('unhandledrejection', (e) => {
    if (e.reason?.name !== 'AbortError') toast(e.reason?.message || 'Something went wrong.', 'error')
  })
  routing = routing.then(route)
}

start()
