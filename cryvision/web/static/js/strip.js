// The last hour as a strip: how probable crying was in each second, and where nothing was scored.

import { faded, hatching, palette } from './colours.js'

const STRIP_S = 3600

export class Strip {
  constructor () {
    this.canvas = document.createElement('canvas')
    this.canvas.className = 'strip'
    this.canvas.setAttribute('role', 'img')
    this.canvas.setAttribute('aria-label', 'The last hour: nothing yet')
    this.scores = new Float32Array(STRIP_S).fill(NaN) // of a second: crying score; -1 not scored; NaN before the start
    this.second = null
    this.crying = new Uint8Array(STRIP_S)
    this.watching = new ResizeObserver(() => this.draw())
    this.watching.observe(this.canvas)
    this.onTheme = () => this.draw()
    addEventListener('themechange', this.onTheme)
  }

  /** Take the state of a moment. */
  push (wallSeconds, probability, crying) {
    const second = Math.floor(wallSeconds)
    // Seconds that were left out are not scored, unless nothing came yet.
    for (let s = (this.second ?? second - 1) + 1; s <= second; s++) {
      this.scores[s % STRIP_S] = -1
      this.crying[s % STRIP_S] = 0
    }
    this.second = Math.max(second, this.second ?? second)
    if (second <= this.second - STRIP_S) return
    const at = second % STRIP_S
    if (Number.isFinite(probability)) this.scores[at] = Math.max(this.scores[at], probability)
    if (crying) this.crying[at] = 1
    if (second !== this.drawn) this.draw()
    this.drawn = second
  }

  draw () {
    const ratio = Math.min(devicePixelRatio || 1, 2)
    const { clientWidth: wide, clientHeight: high } = this.canvas
    if (!wide) return
    this.canvas.width = wide * ratio
    this.canvas.height = high * ratio
    const pen = this.canvas.getContext('2d')
    pen.scale(ratio, ratio)
    if (this.second === null) return
    const colours = palette()
    const step = wide / STRIP_S
    const room = high - 4
    let cried = 0
    for (let x = 0; x < wide; x++) {
      const from = Math.floor(x / step)
      const to = Math.max(from + 1, Math.floor((x + 1) / step))
      let [score, crying, unheard] = [NaN, false, false]
      for (let i = from; i < to; i++) {
        const at = (this.second - STRIP_S + 1 + i + STRIP_S) % STRIP_S
        const value = this.scores[at]
        if (value === -1) unheard = true
        else if (!Number.isNaN(value)) score = Math.max(Number.isNaN(score) ? 0 : score, value)
        if (!Number.isNaN(value) && this.crying[at]) { crying = true; cried++ }
      }
      if (Number.isNaN(score)) {
        if (unheard) { pen.fillStyle = hatching(); pen.fillRect(x, 0, 1, high) }
        continue
      }
      pen.fillStyle = crying ? colours.cry : faded(colours.wave, 0.45)
      const tall = Math.max(1.5, score * room)
      pen.fillRect(x, high - tall, 1, tall)
    }
    this.canvas.setAttribute('aria-label', `The last hour: crying in ${Math.round(cried / 60)} minutes and ${cried % 60} seconds`)
  }

  close () {
    this.watching.disconnect()
    removeEventListener('themechange', this.onTheme)
  }
}
