// Pieces of a clip at several resolutions, fetched as they come into view.
//
// Level k cuts the clip into 2^k equal tiles of the same number of points, so that an hour and a
// second cost the same to draw, and what was fetched once is never fetched again. Where a tile is
// not there yet, the part of a coarser one that covers it is drawn in its place.

const KEPT = 96
const AT_ONCE = 4
const PAUSE_MS = 60 // a view that is passed by while zooming is not fetched

export class Tiles {
  /**
   * @param {number} duration seconds of the clip
   * @param {number} points values across one tile
   * @param {number} finest seconds of one value, below which the server knows no more
   * @param {(start: number, end: number, signal: AbortSignal) => Promise<any>} load
   * @param {() => void} onArrival
   */
  constructor (duration, points, finest, load, onArrival) {
    this.duration = duration
    this.points = points
    this.deepest = Math.max(0, Math.ceil(Math.log2(duration / (finest * points))))
    this.load = load
    this.onArrival = onArrival
    this.tiles = new Map()
    this.wanted = []
    this.running = 0
    this.ending = new AbortController()
    this.failed = null
  }

  /** Level at which a pixel of a view is about one value. */
  level (span, pixels) {
    const level = Math.ceil(Math.log2(this.duration * pixels / (span * this.points)) - 0.25)
    return Math.min(Math.max(level, 0), this.deepest)
  }

  /** Give what is there of a stretch: parts `{from, to, start, end, data}`, best first fetched. */
  cover (start, end, pixels) {
    const level = this.level(end - start, pixels)
    const width = this.duration / 2 ** level
    const first = Math.max(0, Math.floor(start / width))
    const last = Math.min(2 ** level - 1, Math.ceil(end / width) - 1)
    const parts = []
    const missing = []
    for (let index = first; index <= last; index++) {
      const found = this.best(level, index)
      if (found) parts.push({ from: index * width, to: (index + 1) * width, ...found })
      const key = `${level}:${index}`
      if (!this.tiles.has(key)) missing.push(key)
    }
    if (!this.tiles.has('0:0')) missing.unshift('0:0')
    this.wanted = missing
    clearTimeout(this.timer)
    if (missing.length) this.timer = setTimeout(() => this.fetchNext(), this.tiles.size ? PAUSE_MS : 0)
    return parts
  }

  best (level, index) {
    for (let k = level, i = index; k >= 0; k--, i >>= 1) {
      const key = `${k}:${i}`
      const tile = this.tiles.get(key)
      if (!tile?.data) continue
      // The map is in order of use: what was used last is dropped last.
      this.tiles.delete(key)
      this.tiles.set(key, tile)
      const width = this.duration / 2 ** k
      return { start: i * width, end: (i + 1) * width, data: tile.data }
    }
    return null
  }

  fetchNext () {
    while (this.running < AT_ONCE && this.wanted.length) {
      const key = this.wanted.shift()
      if (this.tiles.has(key)) continue
      this.fetch(key)
    }
  }

  async fetch (key) {
    const [level, index] = key.split(':').map(Number)
    const width = this.duration / 2 ** level
    const tile = { data: null }
    this.tiles.set(key, tile)
    this.running++
    try {
      tile.data = await this.load(index * width, Math.min((index + 1) * width, this.duration), this.ending.signal)
      this.failed = null
    } catch (error) {
      this.failed = error
      // Tried again when it next comes into view, but not at once.
      setTimeout(() => this.tiles.delete(key), 3000)
    } finally {
      this.running--
    }
    if (this.ending.signal.aborted) return
    for (const old of this.tiles.keys()) {
      if (this.tiles.size <= KEPT) break
      if (old !== '0:0' && this.tiles.get(old).data) this.tiles.delete(old)
    }
    this.onArrival()
    this.fetchNext()
  }

  get busy () { return this.running > 0 || this.wanted.length > 0 }

  close () {
    clearTimeout(this.timer)
    this.ending.abort()
  }
}
