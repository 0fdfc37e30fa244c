// The view of one clip: player, timeline, events, corrections and downloads, wired together.

import { clipPath, followJob, get, post } from './api.js'
import { agreementCard, downloadsCard, resultCard } from './clipcards.js'
import { tagsOf, tilesOf } from './clipdata.js'
import { Corrections } from './corrections.js'
import { askConflicts, askLabels, askWho } from './dialogs.js'
import { fill, h, icon, iconButton, toast } from './dom.js'
import { eventForm, eventList } from './eventlist.js'
import { Faces } from './faces.js'
import { clock, length, notScored, plural, timeOfDay, words } from './format.js'
import { handleKeys } from './keys.js'
import { Player } from './player.js'
import { settings } from './settings.js'
import { Timeline } from './timeline.js'
import { showPerson } from './app.js'

const NEW_EVENT_S = 0.8
const CRYING = new Set(['cry', 'crying']) // labels that count as crying, as in the measures

/** Show a clip until the signal ends it; returns what cleans up then. */
export async function clipView (main, session, signal, id) {
  await untilScored(main, id, signal)
  const [clip, state] = await Promise.all([get(clipPath(id), signal), get(clipPath(id, '/corrections'), signal)])
  document.title = `${clip.name} – cryvision`
  const view = new ClipView(session, id, clip, state)
  fill(main, view.element)
  view.begin(signal)
  return () => view.close()
}

/** Have a clip scored that is not yet, and show how far that is. */
async function untilScored (main, id, signal) {
  const clips = await get('/api/clips', signal)
  const clip = clips.find((one) => one.clip_id === id)
  if (!clip) throw new Error('There is no clip at this address. Uploads are deleted when the server stops.')
  if (clip.status === 'done') return
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of scoring' })
  const text = h('p.muted', { role: 'status' }, 'Waiting')
  fill(main, h('section.empty', {}, h('h1', {}, 'Scoring this clip'), h('p.file-name', { title: clip.name }, clip.name), bar, text))
  const underWay = ['waiting', 'scoring'].includes(clip.status)
  const job = underWay ? clip.job_id : (await post(clipPath(id, '/score'))).job_id
  await followJob(job, (state) => {
    bar.value = state.progress || 0
    text.textContent = state.status === 'running' ? `${Math.round(100 * (state.progress || 0))} %` : 'Waiting'
  }, signal)
}

class ClipView {
  constructor (session, id, clip, state) {
    Object.assign(this, { session, id, clip })
    this.duration = Math.max(clip.duration_s, 0.05)
    this.labels = this.labelSet(state)
    this.records = new Map(clip.record.events.map((event, n) => [`d${n + 1}`, event]))
    this.corrections = new Corrections(id, state, {
      who: () => session.who || settings.who, labels: () => this.labels, onConflict: askConflicts, onUnscored: () => this.scoredAlike()
    })
    this.player = new Player(clipPath(id, '/media'), { video: clip.has_video, duration: this.duration, name: clip.name })
    this.build()
    this.listen()
  }

  labelSet (state) {
    const used = state.events.map((event) => event.label)
    const own = settings.labels.length ? settings.labels : this.session.labels
    return [...new Set([...own, ...(settings.labels.length ? [] : state.labels), ...used])].filter(Boolean)
  }

  // What is on the page

  build () {
    const { clip } = this
    this.saveState = h('div.save-state', { role: 'status' })
    this.facts = h('p.facts', {})
    this.undoButton = iconButton('undo', 'Undo', () => this.corrections.undo(), 'Ctrl Z')
    this.redoButton = iconButton('redo', 'Redo', () => this.corrections.redo(), 'Ctrl Shift Z')
    const head = h('header.clip-head', {},
      h('a.button.ghost.icon-only', { href: '#open', 'aria-label': 'All clips', title: 'All clips' }, icon('back')),
      h('div.clip-title', {}, h('h1', { title: clip.name }, clip.name), this.facts), this.saveState)
    this.host = h('div.timeline', {})
    this.list = eventList({
      select: (one) => this.select(one), play: (event) => this.playEvent(event),
      emptyText: () => (clip.record.detector.cry === null ? 'Nothing was scored, so there are no events.' : 'No crying was found. Drag in the row of events to add what was missed.')
    })
    this.form = eventForm({
      setTime: (field, value) => this.setTime(field, value), check: () => this.check(), remove: () => this.remove(),
      label: (label) => this.label(label), editLabels: () => this.editLabels()
    })
    this.count = h('span.count')
    const side = h('aside.card.event-panel', { 'aria-label': 'Events of the clip' },
      h('header.card-head', {}, h('h2', {}, 'Events ', this.count), this.list.filter),
      h('div.row.tools', {}, this.undoButton, this.redoButton,
        h('button.small', { type: 'button', onclick: () => this.nextUncertain(), title: 'Next uncertain event (U)' }, icon('jump'), 'Next uncertain'),
        h('button.small', { type: 'button', onclick: () => this.addAtPlayhead(), title: 'Add an event at the play head (A)' }, icon('plus'), 'Add')),
      this.list.list, this.list.empty, this.form.element)
    this.agreement = agreementCard()
    const downloads = downloadsCard(this.session, this.id, clip, this.corrections)
    this.tagsSwitch = h('button.small', { type: 'button', 'aria-pressed': 'false', onclick: () => this.toggleTags() }, 'All other sounds')
    const work = h('section.card.work', { 'aria-label': 'Timeline' }, this.transport(), this.host, h('div.row.under', {}, this.tagsSwitch, this.legend()))
    this.element = h('div.clip-page', {}, head,
      h('div.clip-main', {}, work),
      h('div.clip-side', {}, clip.has_video ? this.stage() : this.player.media, side),
      h('div.clip-cards', {}, resultCard(clip, this.session), this.agreement.element, downloads))
  }

  transport () {
    const { player } = this
    this.selectZoom = iconButton('target', 'Zoom to the selected event', () => this.zoomToSelected(), 'Z')
    return h('div.transport', {},
      h('div.row', {}, iconButton('previous', 'Previous event', () => this.step(-1), 'P'), player.playButton,
        iconButton('next', 'Next event', () => this.step(1), 'N'), player.loopButton, player.timeText),
      h('div.row', {}, player.muteButton, player.speed),
      h('div.row.zoom', { role: 'group', 'aria-label': 'Zoom' }, iconButton('minus', 'Zoom out', () => this.timeline.zoom(1 / 1.6), '−'),
        iconButton('plus', 'Zoom in', () => this.timeline.zoom(1.6), '+'), h('button.ghost.small', { type: 'button', title: 'Whole clip (0)', onclick: () => this.timeline.fit() }, 'Fit'), this.selectZoom))
  }

  stage () {
    this.faces = new Faces(this.id, this.player.media, () => this.timeline.resize())
    const full = iconButton('full', 'Full screen', () => stage.requestFullscreen?.())
    full.classList.add('over-video')
    const stage = h('section.stage', { 'aria-label': 'Video' }, this.player.media, this.faces.canvas, full)
    this.player.media.addEventListener('click', () => this.player.toggle())
    return stage
  }

  legend () {
    return h('p.legend', {}, h('span.key.dashed', {}), 'level at which an event opens', h('span.key.unknown', {}), 'not scored')
  }

  begin (signal) {
    const { clip, id } = this
    const redraw = () => this.timeline?.redraw()
    const tiles = tilesOf(id, this.duration, clip.has_sound, redraw)
    this.timeline = new Timeline(this.host, {
      ...tiles, duration: this.duration, tags: tagsOf(clip.record), threshold: clip.record.threshold,
      faces: this.faces, soundEnd: clip.sound_s
    }, {
      seek: (t) => this.player.seek(t), select: (one) => this.select(one), play: (event) => this.playEvent(event),
      playRejected: (event) => this.playRejected(event),
      change: (one, fields, done) => this.change(one, fields, done), add: (on, off) => this.add(on, off)
    })
    this.timeline.setRejected(clip.record.rejected.map((event, n) => ({ ...event, id: `r${n}` })))
    this.element.timeline = this.timeline // for tests and the console
    handleKeys(this, signal)
    this.showAll()
    this.showStatus()
    this.faces?.load(signal)
    if (this.corrections.recovered) toast('Restored corrections that could not be saved last time.')
    if (this.corrections.version) this.agreement.load(id)
  }

  listen () {
    const { corrections, player } = this
    corrections.addEventListener('change', () => this.showAll())
    corrections.addEventListener('select', () => this.showAll())
    corrections.addEventListener('status', () => this.showStatus())
    corrections.addEventListener('saved', () => this.agreement.load(this.id))
    corrections.addEventListener('merged', () => toast(`Your changes were merged with those of ${corrections.mergedWith}.`))
    player.addEventListener('tick', (e) => {
      this.timeline?.setPlayhead(e.detail, player.playing)
      this.faces?.draw(e.detail)
    })
    player.addEventListener('fault', () => toast('The sound cannot be played in this browser. The timeline still works.', 'error'))
    this.onLeave = (e) => { if (corrections.dirty && !corrections.kept) e.preventDefault() }
    this.onHide = () => { if (document.visibilityState === 'hidden') corrections.save() }
    addEventListener('beforeunload', this.onLeave)
    document.addEventListener('visibilitychange', this.onHide)
  }

  async close () {
    removeEventListener('beforeunload', this.onLeave)
    document.removeEventListener('visibilitychange', this.onHide)
    this.player.close()
    this.timeline?.close()
    await this.corrections.leave()
  }

  // What is shown of the events

  showAll () {
    const { corrections, labels, records } = this
    this.timeline?.setEvents(corrections.events, labels, corrections.selected)
    this.list.show({ events: corrections.events, labels, selected: corrections.selected, records })
    this.form.show(corrections.current, labels)
    this.count.textContent = String(corrections.events.length)
    this.undoButton.disabled = !corrections.past.length
    this.redoButton.disabled = !corrections.future.length
    this.selectZoom.disabled = !corrections.current
    this.showFacts()
  }

  showFacts () {
    const { events } = this.corrections
    const cries = events.filter((event) => CRYING.has(event.label))
    const seconds = cries.reduce((sum, event) => sum + event.offset_s - event.onset_s, 0)
    const scored = this.clip.record.detector.cry !== null
    const found = cries.length
      ? `Crying ${length(seconds)} in ${plural(cries.length, 'event')}`
      : scored ? 'No crying found' : null
    fill(this.facts,
      h('span', {}, this.duration >= 60 ? length(this.duration) : `${this.duration.toFixed(1)} s long`),
      found ? h('span.fact', {}, found) : null,
      events.length > cries.length ? h('span', {}, `${events.length - cries.length} other`) : null,
      notScored(this.clip).map((text) => h('span.not-scored', {}, text)),
      events.length ? h('span', {}, `${events.filter((event) => event.checked).length} of ${events.length} checked`) : null)
  }

  showStatus () {
    const { kind, message, at, kept } = this.corrections.status
    const safe = kept ? 'Kept in this browser.' : 'Keep this page open.'
    const when = at ? timeOfDay(new Date(at)) : ''
    const texts = {
      untouched: ['', 'As the detector found it'],
      saving: ['busy', 'Saving'],
      saved: ['ok', when ? `Saved ${when}` : 'Saved'],
      offline: ['bad', `Offline. ${safe}`],
      failed: ['bad', `Not saved: ${message} ${safe}`],
      refused: ['bad', `Not saved: ${message}`]
    }
    const [look, text] = texts[kind]
    this.saveState.className = `save-state ${look}`
    const by = this.corrections.savedBy
    fill(this.saveState, h('span.dot', { 'aria-hidden': 'true' }), h('span', { title: kind === 'saved' && by ? `by ${by}` : '' }, text),
      look === 'bad' ? h('button.small', { type: 'button', onclick: () => this.corrections.save() }, 'Retry') : null)
  }

  toggleTags () {
    this.timeline.allTags = !this.timeline.allTags
    this.tagsSwitch.setAttribute('aria-pressed', String(this.timeline.allTags))
    this.timeline.resize()
  }

  /** Have the clip scored again, and tell whether all that is found in it is what is shown here. */
  async scoredAlike () {
    const { job_id: job } = await post(clipPath(this.id, '/score'))
    await followJob(job)
    const { record } = await get(clipPath(this.id))
    return JSON.stringify(record) === JSON.stringify(this.clip.record)
  }

  // What a person does

  /** Ask once who corrects, before the first change. */
  async mayEdit () {
    if (this.session.who || settings.who) return true
    this.asking ??= askWho()
    const who = await this.asking
    this.asking = null
    showPerson()
    if (!who) toast('Nothing was changed: a correction needs a name.')
    return Boolean(who)
  }

  select (id) {
    this.corrections.select(id)
    const event = this.corrections.current
    if (event) this.timeline.reveal(event.onset_s, event.offset_s)
  }

  playEvent (event) { this.player.playStretch(event.onset_s, event.offset_s) }

  playRejected (event) {
    this.playEvent(event)
    const heard = event.rejected ?? event.other_tag
    toast(`Candidate at ${clock(event.onset_s, 1)}, rejected${heard ? `: ${words(String(heard))} heard` : ''}. Shift and drag over it to add it.`)
  }

  async change (id, fields, done) {
    // A drag shows at once; the name is asked for when it ends.
    if (!done) return this.corrections.change(id, fields, false)
    if (fields && !(await this.mayEdit())) return this.corrections.change(id, null)
    this.corrections.change(id, fields, true)
  }

  async add (onset, offset) {
    if (await this.mayEdit()) this.corrections.add(onset, offset, this.labels[0] || 'cry')
  }

  async addAtPlayhead () {
    const from = Math.min(this.player.time, Math.max(0, this.duration - 0.05))
    const next = this.corrections.events.find((event) => event.onset_s > from + 0.05)
    const to = Math.min(from + NEW_EVENT_S, next?.onset_s ?? this.duration, this.duration)
    await this.add(from, Math.max(to, from + 0.02))
    this.timeline.reveal(from, to)
  }

  async remove () {
    const { current } = this.corrections
    if (current && await this.mayEdit()) this.corrections.remove(current.id)
  }

  async label (label) {
    const { current } = this.corrections
    if (current && label && await this.mayEdit()) this.corrections.change(current.id, { label })
  }

  async check () {
    const { current } = this.corrections
    if (current && await this.mayEdit()) this.corrections.change(current.id, { checked: !current.checked })
  }

  async setTime (field, value) {
    const { current } = this.corrections
    if (!current || !(await this.mayEdit())) return
    const bounded = field === 'onset_s'
      ? Math.min(Math.max(0, value), current.offset_s - 0.02)
      : Math.max(Math.min(this.duration, value), current.onset_s + 0.02)
    this.corrections.change(current.id, { [field]: bounded })
    this.form.show(this.corrections.current, this.labels)
  }

  async editLabels () {
    const labels = await askLabels(this.labels)
    if (!labels?.length) return
    settings.labels = labels
    this.labels = [...new Set([...labels, ...this.corrections.events.map((event) => event.label)])]
    this.showAll()
  }

  step (by) {
    const { events, current } = this.corrections
    if (!events.length) return
    const at = current ? events.indexOf(current) + by : events.findIndex((event) => event.onset_s >= this.player.time)
    const event = events[Math.min(Math.max(at < 0 ? 0 : at, 0), events.length - 1)]
    this.select(event.id)
    this.playEvent(event)
  }

  /** Go to the event that the detector was least sure of, among those nobody has checked. */
  nextUncertain () {
    const sure = (event) => event.confidence ?? 1
    const { events, selected } = this.corrections
    const rest = events.filter((event) => !event.checked).sort((a, b) => sure(a) - sure(b))
    if (!rest.length) return toast('Every event is checked.')
    // One that is passed over comes again after all others.
    const event = rest[(rest.findIndex((one) => one.id === selected) + 1) % rest.length]
    // An event of a long clip is too narrow to be seen in the whole: go near it.
    if (this.timeline.span > 60) this.timeline.show(event.onset_s - 10, event.offset_s + 10)
    this.select(event.id)
    this.playEvent(event)
  }

  zoomToSelected () {
    const { current } = this.corrections
    if (!current) return
    const margin = Math.max(0.3, current.offset_s - current.onset_s)
    this.timeline.show(current.onset_s - margin, current.offset_s + margin)
  }
}
