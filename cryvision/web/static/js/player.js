// The media element and its controls. Plays stretches, repeats them, and tells where it is.

import { h, iconButton, setIcon } from './dom.js'
import { clock } from './format.js'

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2]

export class Player extends EventTarget {
  constructor (source, { video, duration, name }) {
    super()
    this.duration = duration
    this.media = h(video ? 'video.video' : 'audio', {
      src: source, preload: 'auto', playsInline: true, 'aria-label': video ? `Video of ${name}` : `Sound of ${name}`
    })
    this.stretch = null
    this.repeats = false
    this.playButton = iconButton('play', 'Play', () => this.toggle(), 'Space')
    this.playButton.classList.add('play')
    this.loopButton = iconButton('loop', 'Repeat the selected event', () => this.loop(), 'L')
    this.loopButton.setAttribute('aria-pressed', 'false')
    this.muteButton = iconButton('sound', 'Mute', () => { this.media.muted = !this.media.muted })
    this.speed = h('select.speed', { 'aria-label': 'Speed', onchange: () => { this.media.playbackRate = Number(this.speed.value) } },
      SPEEDS.map((value) => h('option', { value, selected: value === 1 }, `${value}×`)))
    this.timeText = h('output.time', { 'aria-label': 'Time', 'aria-live': 'off' })
    for (const name of ['play', 'pause', 'ended']) this.media.addEventListener(name, () => this.showState())
    this.media.addEventListener('seeked', () => this.tick())
    this.media.addEventListener('volumechange', () => setIcon(this.muteButton, this.media.muted ? 'mute' : 'sound', this.media.muted ? 'Unmute' : 'Mute'))
    this.media.addEventListener('error', () => this.dispatchEvent(new Event('fault')))
    this.tick()
  }

  get time () { return this.pending ?? this.media.currentTime }
  get playing () { return !this.media.paused && !this.media.ended }

  seek (time) {
    this.stretch = null
    this.go(time)
  }

  go (time) {
    const to = Math.min(Math.max(0, time), this.duration)
    if (this.media.readyState >= 1) this.media.currentTime = to
    else {
      this.pending = to
      this.media.addEventListener('loadedmetadata', () => {
        if (this.pending === null || this.pending === undefined) return
        this.media.currentTime = this.pending
        this.pending = null
      }, { once: true })
    }
    this.tick(to)
  }

  /** Play a stretch and stop at its end, or begin again there. */
  playStretch (from, to) {
    this.go(from)
    this.stretch = { from, to }
    this.start()
  }

  start () { this.media.play().catch(() => this.showState()) }

  toggle () {
    if (this.playing) return this.media.pause()
    if (this.time >= this.duration - 0.05) this.go(0)
    if (this.stretch && this.time >= this.stretch.to - 0.01) this.stretch = null
    this.start()
  }

  loop () {
    this.repeats = !this.repeats
    this.loopButton.setAttribute('aria-pressed', String(this.repeats))
  }

  showState () {
    setIcon(this.playButton, this.playing ? 'pause' : 'play', this.playing ? 'Pause' : 'Play', 'Space')
    if (this.playing && !this.running) this.run()
  }

  run () {
    this.running = true
    const step = () => {
      if (this.stretch && this.time >= this.stretch.to) {
        if (this.repeats) this.media.currentTime = this.stretch.from
        else {
          this.media.pause()
          this.media.currentTime = this.stretch.to
        }
      }
      this.tick()
      if (this.playing) requestAnimationFrame(step)
      else this.running = false
    }
    requestAnimationFrame(step)
  }

  tick (time = this.time) {
    this.timeText.textContent = `${clock(time, 2)} / ${clock(this.duration, 1)}`
    this.dispatchEvent(new CustomEvent('tick', { detail: time }))
  }

  close () {
    this.media.pause()
    this.media.removeAttribute('src')
    this.media.load()
  }
}
