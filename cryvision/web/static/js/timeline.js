// The timeline: all lanes of a clip over one stretch of time, drawn on two canvases.
//
// The lower canvas holds what changes with the view and the events, the upper one what changes while
// a person drags. The play head is an element of its own, so that playing draws nothing at all.

import { faded, labelColour, palette } from './colours.js'
import { clock, words } from './format.js'
import { attachGestures } from './gestures.js'
import * as lanes from './lanes.js'

const NARROW = 620 // pixels below which names lie on their lanes, and not beside them
const GUTTER = 104
const SHORTEST_VIEW_S = 0.25

export class Timeline {
  /**
   * @param {HTMLElement} host gets the canvases
   * @param {{duration, peaks, tracks, spectrogram, tags, threshold, faces}} clip tiles and facts
   * @param {object} actions seek(t), select(id), play(event), change(id, times, done), add(on, off)
   */
  constructor (host, clip, actions) {
    Object.assign(this, { host, clip, actions })
    this.duration = clip.duration
    ;[this.t0, this.t1] = [0, this.duration]
    this.events = []
    this.rejected = []
    this.rows = new Map()
    this.labels = []
    this.selected = null
    this.hovered = null
    this.playhead = 0
    this.draft = null
    this.allTags = false
    this.drawMs = 0
    this.base = document.createElement('canvas')
    this.over = document.createElement('canvas')
    this.head = document.createElement('div')
    this.head.className = 'playhead'
    this.mark = document.createElement('div')
    this.mark.className = 'playhead-mark'
    host.append(this.base, this.over, this.head, this.mark)
    host.tabIndex = 0
    host.setAttribute('role', 'slider')
    host.setAttribute('aria-label', 'Play head')
    host.setAttribute('aria-valuemin', '0')
    host.setAttribute('aria-valuemax', this.duration.toFixed(1))
    this.watching = new ResizeObserver(() => this.resize())
    this.watching.observe(host)
    this.onTheme = () => this.redraw()
    addEventListener('themechange', this.onTheme)
    this.detach = attachGestures(this)
    this.resize()
  }

  close () {
    this.watching.disconnect()
    removeEventListener('themechange', this.onTheme)
    this.detach()
    for (const tiles of [this.clip.peaks, this.clip.tracks, this.clip.spectrogram]) tiles?.close()
  }

  // Time and place

  get left () { return this.width < NARROW ? 0 : GUTTER }
  get span () { return this.t1 - this.t0 }
  x (time) { return this.left + (time - this.t0) * (this.width - this.left) / this.span }
  time (x) { return this.t0 + (x - this.left) * this.span / (this.width - this.left) }
  get secondsPerPixel () { return this.span / Math.max(1, this.width - this.left) }

  /** Show a stretch, as near as the clip and the shortest view allow. */
  show (t0, t1) {
    const shortest = Math.min(SHORTEST_VIEW_S, this.duration)
    const span = Math.min(Math.max(t1 - t0, shortest), this.duration)
    const start = Math.min(Math.max((t0 + t1 - span) / 2, 0), this.duration - span)
    if (start === this.t0 && start + span === this.t1) return
    ;[this.t0, this.t1] = [start, start + span]
    this.redraw()
    this.actions.view?.()
  }

  fit () { this.show(0, this.duration) }

  /** Zoom by a factor; the given time keeps its place. */
  zoom (factor, about = this.aboutTime()) {
    const span = Math.min(Math.max(this.span / factor, SHORTEST_VIEW_S), this.duration)
    const start = about - (about - this.t0) * span / this.span
    this.show(Math.max(0, start), Math.max(0, start) + span)
  }

  aboutTime () {
    return this.playhead >= this.t0 && this.playhead <= this.t1 ? this.playhead : (this.t0 + this.t1) / 2
  }

  scroll (seconds) {
    const start = Math.min(Math.max(this.t0 + seconds, 0), this.duration - this.span)
    this.show(start, start + this.span)
  }

  /** Scroll so far that a time is well in view. */
  reveal (time, end = time) {
    if (time >= this.t0 && end <= this.t1) return
    if (end - time > this.span) return this.show(time - 0.1 * (end - time), end + 0.1 * (end - time))
    const start = Math.min(Math.max((time + end) / 2 - this.span / 2, 0), this.duration - this.span)
    this.show(start, start + this.span)
  }

  // What is shown

  setEvents (events, labels, selected) {
    if (this.events !== events) this.rows = lanes.stacked(events)
    Object.assign(this, { events, labels, selected })
    this.redraw()
  }

  setRejected (events) {
    this.rejected = events
    this.redraw()
  }

  setPlayhead (time, follow = false) {
    this.playhead = time
    this.host.setAttribute('aria-valuenow', time.toFixed(2))
    this.host.setAttribute('aria-valuetext', this.spoken(time))
    if (follow && (time > this.t0 + 0.92 * this.span || time < this.t0) && this.span < this.duration) {
      const start = Math.min(Math.max(time - 0.1 * this.span, 0), this.duration - this.span)
      if (Math.abs(start - this.t0) > 0.02 * this.span) this.show(start, start + this.span)
    }
    this.placeHead()
  }

  placeHead () {
    const at = this.x(this.playhead)
    this.head.hidden = at < this.left - 1 || at > this.width + 1
    this.head.style.transform = `translateX(${at.toFixed(1)}px)`
    const over = this.left + this.playhead * (this.width - this.left) / this.duration
    this.mark.style.transform = `translateX(${over.toFixed(1)}px)`
  }

  spoken (time) {
    const here = this.events.filter((event) => event.onset_s <= time && event.offset_s > time)
    const label = here.map((event) => words(event.label)).join(', ')
    return `${clock(time, 1)} of ${clock(this.duration, 0)}${label ? `, ${label}` : ''}`
  }

  /** Lay the lanes out from top to bottom. */
  layout () {
    const { clip } = this
    const narrow = this.width < NARROW
    const all = [{ kind: 'overview', height: 30, name: 'Whole clip' }, { kind: 'ruler', height: 24, name: '' },
      { kind: 'events', height: narrow ? 44 : 48, name: 'Events' }]
    if (clip.peaks) all.push({ kind: 'wave', height: narrow ? 56 : 68, name: 'Sound' })
    if (clip.spectrogram) all.push({ kind: 'spectrogram', height: narrow ? 88 : 120, name: 'Spectrogram' })
    if (clip.tracks) {
      all.push({ kind: 'score', height: 58, name: 'Crying score' })
      const tags = this.allTags ? clip.tags : clip.tags.filter((tag) => tag.detected)
      for (const tag of tags) all.push({ kind: 'tag', height: 20, name: words(tag.name), tag })
    }
    if (clip.faces?.found) all.push({ kind: 'face', height: 20, name: 'face' })
    let y = 0
    for (const lane of all) {
      lane.y = y
      y += lane.height + (['overview', 'wave', 'spectrogram', 'score'].includes(lane.kind) ? 4 : 0)
    }
    this.lanes = all
    this.height = y + 2
  }

  lane (kind) { return this.lanes.find((lane) => lane.kind === kind) }

  laneAt (y) { return this.lanes.findLast((lane) => y >= lane.y) ?? this.lanes[0] }

  resize () {
    this.width = Math.max(200, this.host.clientWidth)
    this.layout()
    const ratio = Math.min(devicePixelRatio || 1, 2)
    this.host.style.height = `${this.height}px`
    this.head.style.top = `${this.lane('ruler').y}px`
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(this.width * ratio)
      canvas.height = Math.round(this.height * ratio)
      canvas.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0)
    }
    this.draw()
  }

  redraw () {
    if (this.waiting) return
    this.waiting = requestAnimationFrame(() => this.draw())
  }

  frame (pen) {
    return { pen, x: (t) => this.x(t), t0: this.t0, t1: this.t1, left: this.left, width: this.width - this.left }
  }

  draw () {
    const began = performance.now()
    cancelAnimationFrame(this.waiting)
    this.waiting = 0
    const pen = this.base.getContext('2d')
    const colours = palette()
    this.shownTracks = null
    pen.clearRect(0, 0, this.width, this.height)
    for (const lane of this.lanes) {
      if (lane.kind !== 'ruler') {
        pen.fillStyle = colours.sunk
        pen.fillRect(this.left, lane.y, this.width - this.left, lane.height)
      }
      pen.save()
      pen.beginPath()
      pen.rect(this.left, lane.y, this.width - this.left, lane.height)
      pen.clip()
      this.drawLane(pen, lane)
      pen.restore()
      this.drawName(pen, lane)
    }
    this.drawOver()
    this.placeHead()
    this.drawMs = performance.now() - began
  }

  parts (tiles) { return tiles.cover(this.t0, this.t1, this.width - this.left) }

  drawLane (pen, { kind, y, height, tag }) {
    const frame = this.frame(pen)
    const shown = { rows: this.rows, labels: this.labels, selected: this.selected, hovered: this.hovered }
    const events = this.events
    const tint = () => lanes.drawTint(frame, events, y, height, this.labels, this.selected)
    if (kind === 'overview') this.drawOverview(pen, y, height)
    if (kind === 'ruler') lanes.drawRuler(frame, y, height)
    if (kind === 'events') {
      lanes.drawRejected(frame, this.rejected, y, height)
      lanes.drawEvents(frame, events, y, height, shown)
    }
    if (kind === 'wave') { tint(); lanes.drawWave(frame, this.parts(this.clip.peaks), y, height) }
    if (kind === 'spectrogram') { lanes.drawSpectrogram(frame, this.parts(this.clip.spectrogram), y, height); tint() }
    if (kind === 'wave' || kind === 'spectrogram') lanes.drawNoSound(frame, this.clip.soundEnd, y, height)
    if (kind === 'score') lanes.drawScore(frame, this.trackParts(), y, height, this.clip.threshold)
    if (kind === 'tag') lanes.drawStrip(frame, this.trackParts(), `heard_${tag.name}`, y + 1, height - 2, tag.colour())
    if (kind === 'face') this.clip.faces.drawLane(frame, y + 1, height - 2)
  }

  trackParts () {
    // Many lanes share the tracks: one look-up a drawing.
    this.shownTracks ??= this.parts(this.clip.tracks)
    return this.shownTracks
  }

  /** Draw the whole clip once, and again only where something of it has changed. */
  overviewPicture (height) {
    const data = this.clip.peaks?.best(0, 0)
    const state = [this.events, this.labels, data?.data, this.width, palette()]
    if (this.overview?.state.every((value, n) => value === state[n])) return this.overview.canvas
    const canvas = document.createElement('canvas')
    canvas.width = this.base.width
    canvas.height = Math.round(height * this.base.width / this.width)
    const pen = canvas.getContext('2d')
    pen.scale(canvas.width / this.width, canvas.width / this.width)
    const room = this.width - this.left
    const at = (t) => this.left + t * room / this.duration
    const whole = { pen, x: at, t0: 0, t1: this.duration, left: this.left, width: room }
    if (data) lanes.drawWave(whole, [{ from: 0, to: this.duration, ...data }], 0, height, faded(palette().wave, 0.55))
    for (const event of this.events) {
      pen.fillStyle = faded(labelColour(event.label, this.labels), 0.75)
      pen.fillRect(at(event.onset_s), 0, Math.max(1, (event.offset_s - event.onset_s) * room / this.duration), height)
    }
    this.overview = { state, canvas }
    return canvas
  }

  drawOverview (pen, y, height) {
    const at = (t) => this.left + t * (this.width - this.left) / this.duration
    pen.drawImage(this.overviewPicture(height), 0, y, this.width, height)
    if (this.span >= this.duration) return
    const [from, to] = [at(this.t0), at(this.t1)]
    const wide = Math.max(to - from, 4)
    pen.fillStyle = faded(palette().accent, 0.16)
    pen.fillRect(from, y, wide, height)
    pen.strokeStyle = palette().accent
    pen.lineWidth = 1.5
    pen.strokeRect(from + 0.75, y + 0.75, wide - 1.5, height - 1.5)
  }

  drawName (pen, { kind, name, y, height, tag }) {
    const colours = palette()
    if (!name) return
    pen.font = colours.font
    pen.textBaseline = 'middle'
    if (this.left) {
      pen.textAlign = 'right'
      pen.fillStyle = colours.muted
      pen.fillText(shortened(pen, name, this.left - 14), this.left - 10, y + height / 2)
    } else if (!['overview', 'events'].includes(kind)) {
      pen.textAlign = 'left'
      const wide = pen.measureText(name).width
      const middle = height > 30 ? y + 10 : y + height / 2
      pen.fillStyle = faded(colours.surface, 0.8)
      pen.fillRect(2, middle - 7, wide + 8, 14)
      pen.fillStyle = tag ? colours.text : colours.muted
      pen.fillText(name, 6, middle)
    }
  }

  /** Draw the handles of the selected event, and what is being drawn by hand. */
  drawOver () {
    const event = this.events.find((one) => one.id === this.selected)
    // A canvas that is cleared is put on the screen anew, which takes as long as drawing it.
    if (!event && !this.draft && !this.overUsed) return
    this.overUsed = Boolean(event || this.draft)
    const pen = this.over.getContext('2d')
    const colours = palette()
    pen.clearRect(0, 0, this.width, this.height)
    const top = this.lane('ruler').y
    pen.save()
    pen.beginPath()
    pen.rect(this.left, 0, this.width - this.left, this.height)
    pen.clip()
    if (event) this.drawHandles(pen, event)
    if (this.draft) {
      pen.fillStyle = faded(colours.accent, 0.25)
      pen.fillRect(this.x(this.draft[0]), top, this.x(this.draft[1]) - this.x(this.draft[0]), this.height - top)
    }
    pen.restore()
  }

  drawHandles (pen, event) {
    const lane = this.lane('events')
    const colour = labelColour(event.label, this.labels)
    const bottom = (this.lane('score') ?? this.lane('wave') ?? lane)
    pen.strokeStyle = colour
    pen.fillStyle = colour
    pen.lineWidth = 1.5
    for (const time of [event.onset_s, event.offset_s]) {
      const at = this.x(time)
      pen.beginPath()
      pen.moveTo(at, lane.y)
      pen.lineTo(at, bottom.y + bottom.height)
      pen.stroke()
      pen.beginPath()
      pen.roundRect(at - 4, lane.y + lane.height / 2 - 11, 8, 22, 4)
      pen.fill()
      pen.fillStyle = palette().surface
      pen.fillRect(at - 0.75, lane.y + lane.height / 2 - 5, 1.5, 10)
      pen.fillStyle = colour
    }
  }
}

/** Cut a text to the room it has. */
function shortened (pen, text, room) {
  if (pen.measureText(text).width <= room) return text
  let end = text.length
  while (end > 1 && pen.measureText(text.slice(0, end) + '…').width > room) end--
  return text.slice(0, end) + '…'
}
