// The live view: microphone and camera of this browser, or a source of the server.

import { Capture, Watch } from './capture.js'
import { fill, h, icon, toast } from './dom.js'
import { decibels, length, score, timeOfDay, words } from './format.js'
import { settings } from './settings.js'
import { Strip } from './strip.js'

const MOST_ALERTS = 200

/** Show the view; returns what ends it. */
export async function liveView (main, session) {
  document.title = 'Live – cryvision'
  const view = new LiveView(session)
  fill(main, view.element)
  return () => view.close()
}

class LiveView {
  constructor (session) {
    this.session = session
    this.strip = new Strip()
    this.word = h('p.state-word', {}, 'Not listening')
    this.since = h('p.state-since', {}, 'Nothing is recorded or kept. Sound is analysed and forgotten.')
    this.spoken = h('p.visually-hidden', { role: 'status' })
    this.meters = { cry: meter('Crying score', 'cry'), level: meter('Level', ''), above: meter('Above noise', '') }
    this.tags = h('div.tags', { 'aria-label': 'Other sounds', role: 'group' })
    this.card = h('section.card.state-card.unheard', { 'aria-label': 'State' }, h('div', {}, this.word, this.since), this.spoken,
      h('div.meters', {}, Object.values(this.meters).map((one) => one.element)), this.tags)
    this.alerts = h('ol.alerts', { 'aria-label': 'Alerts' })
    this.noAlerts = h('p.muted', {}, 'No alert yet.')
    this.element = h('div.live', {}, h('h1.visually-hidden', {}, 'Live'),
      h('div.live-top', {}, this.card, this.controls()),
      h('section.card', { 'aria-label': 'Last hour' }, h('header.card-head', {}, h('h2', {}, 'Last hour'),
        h('p.legend', {}, h('span.key.level-4', {}), 'crying', h('span.key.unknown', {}), 'not scored')),
      this.strip.canvas, h('div.strip-times', { 'aria-hidden': 'true' }, ['60 min ago', '45', '30', '15', 'now'].map((text) => h('span', {}, text)))),
      h('section.card', { 'aria-label': 'Alerts' }, h('header.card-head', {}, h('h2', {}, 'Alerts'), this.rule()), this.alerts, this.noAlerts))
  }

  controls () {
    this.video = h('video.camera', { muted: true, playsInline: true, hidden: true, 'aria-label': 'Camera' })
    this.mic = h('button.primary', { type: 'button', onclick: () => this.toggle(false) }, icon('mic'), 'Use microphone')
    this.cam = h('button', { type: 'button', onclick: () => this.toggle(true) }, icon('camera'), 'Use microphone and camera')
    const sources = this.session.live_sources
    this.source = sources.length
      ? h('select', { 'aria-label': 'Source of the server', onchange: () => this.watch(this.source.value) },
        h('option', { value: '' }, 'Choose a source'), sources.map((name) => h('option', { value: name }, name)))
      : null
    this.fault = h('div', { role: 'alert' })
    this.box = h('div.face-box', { hidden: true })
    this.picture = h('div.picture', {}, this.video, this.box)
    return h('section.card.live-controls', { 'aria-label': 'Source' }, h('h2', {}, 'Listen'),
      h('div.row', {}, this.mic, this.cam), this.source ? h('label.field', {}, 'Or a source of this server', this.source) : null,
      this.fault, this.picture,
      h('p.muted', {}, 'Keep this page in view: browsers slow down hidden pages. Do not rely on it as a baby monitor.'))
  }

  rule () {
    const sound = h('input', { type: 'checkbox', checked: settings.alertSound, onchange: () => { settings.alertSound = sound.checked } })
    return h('label.choice', {}, sound, h('span', {}, 'Sound a tone'))
  }

  async toggle (camera) {
    if (this.running) return this.stop()
    await this.begin(new Capture(), { camera, video: this.video })
    if (this.running && camera) this.video.hidden = false
  }

  async watch (source) {
    this.stop()
    if (source) await this.begin(new Watch(), { source })
  }

  async begin (running, options) {
    fill(this.fault)
    this.running = running
    this.showControls()
    this.show('unheard', 'Starting', '')
    running.addEventListener('answer', (e) => this.take(e.detail))
    running.addEventListener('closed', (e) => { if (this.running === running) this.ended(e.detail) })
    try {
      await running.start(options)
    } catch (error) {
      this.ended(error.message)
    }
  }

  stop () {
    this.running?.stop()
    this.ended('')
  }

  ended (why) {
    this.running = null
    this.video.hidden = true
    this.video.srcObject = null
    this.showControls()
    this.show('unheard', 'Not listening', why)
    if (why) fill(this.fault, h('p.warning', {}, icon('warn'), h('span', {}, why)))
  }

  showControls () {
    const on = Boolean(this.running)
    fill(this.mic, icon(on ? 'close' : 'mic'), on ? 'Stop' : 'Use microphone')
    this.cam.hidden = on
  }

  show (look, word, since) {
    this.card.className = `card state-card ${look}`
    if (this.word.textContent !== word) this.spoken.textContent = word
    this.word.textContent = word
    this.since.textContent = since
  }

  take ({ state, alerts = [], face, error }) {
    if (error) return this.ended(error)
    if (state) this.takeState(state)
    for (const alert of alerts) this.addAlert(alert)
    this.showFace(face?.box)
  }

  /** Draw the box of a face, which comes in pixels of the picture that was sent. */
  showFace (box) {
    const size = this.running?.pictureSize
    this.box.hidden = !box || !size || this.video.hidden
    if (this.box.hidden) return
    ['left', 'top', 'width', 'height'].forEach((side, n) => { this.box.style[side] = `${100 * box[n] / size[n % 2]}%` })
  }

  takeState (state) {
    const heard = state.crying !== null && state.crying !== undefined
    const now = state.time ? new Date(state.time) : new Date()
    const why = Object.entries(state.not_scored || {}).map(([what, text]) => `${words(what)}: ${text}`).join('; ')
    if (!heard) this.show('unheard', 'Not scored', why || 'There is too little sound to say anything yet.')
    else if (state.crying) this.show('crying', 'Crying', state.seconds ? `for ${length(state.seconds, 0)}` : '')
    else if (state.likely) this.show('listening', 'Crying is likely', '')
    else this.show('listening', 'Listening, no crying', state.since ? `for ${length(state.seconds, 0)}` : '')
    this.meters.cry.set(state.probability, score(state.probability))
    this.meters.level.set((state.level_dbfs + 80) / 80, decibels(state.level_dbfs))
    this.meters.above.set(state.above_background_db / 50, decibels(state.above_background_db))
    fill(this.tags, Object.keys(state.tags || {}).filter((tag) => tag !== 'cry').map((tag) => h('span.tag', {}, words(tag))))
    this.strip.push(now.getTime() / 1000, heard ? state.probability : NaN, state.crying)
  }

  addAlert (alert) {
    this.addRow(new Date(alert.time), alert.message, alert.state === 'raised')
  }

  addRow (time, text, raised) {
    this.noAlerts.hidden = true
    this.alerts.prepend(h('li', {}, h('span', {}, timeOfDay(time)), h(`span${raised ? '.raised' : ''}`, {}, text)))
    while (this.alerts.children.length > MOST_ALERTS) this.alerts.lastChild.remove()
    if (!raised) return
    toast(text)
    if (settings.alertSound) beep()
  }

  close () {
    this.running?.stop()
    this.running = null
    this.strip.close()
  }
}

function meter (name, look) {
  const fillBar = h('span')
  const text = h('span', {}, '–')
  return {
    element: h('div.meter', {}, h('span', {}, name), h(`div.meter-bar${look ? `.${look}` : ''}`, { 'aria-hidden': 'true' }, fillBar), text),
    set (share, written) {
      fillBar.style.width = `${100 * Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0))}%`
      text.textContent = written
    }
  }
}

/** Sound a short tone of two notes. */
function beep () {
  const context = new AudioContext()
  const gain = context.createGain()
  gain.connect(context.destination)
  gain.gain.setValueAtTime(0.15, context.currentTime)
  for (const [n, pitch] of [660, 880].entries()) {
    const note = context.createOscillator()
    note.frequency.value = pitch
    note.connect(gain)
    note.start(context.currentTime + 0.18 * n)
    note.stop(context.currentTime + 0.18 * n + 0.15)
  }
  setTimeout(() => context.close(), 800)
}
