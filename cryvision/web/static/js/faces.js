// Boxes of faces over the video, where faces were looked for.

import { clipPath, get, query } from './api.js'
import { palette } from './colours.js'

const PIECE_S = 30
const FRESH_S = 0.25 // a box is drawn for so long after its picture

export class FaceBoxes {
  constructor (id, video) {
    Object.assign(this, { id, video })
    this.canvas = document.createElement('canvas')
    this.canvas.className = 'faces'
    this.canvas.setAttribute('aria-hidden', 'true')
    this.pieces = new Map()
    this.none = false
  }

  async load (index) {
    if (this.none || this.pieces.has(index)) return
    this.pieces.set(index, null)
    try {
      const found = await get(clipPath(this.id, `/faces?${query({ start_s: index * PIECE_S, end_s: (index + 1) * PIECE_S })}`))
      this.pieces.set(index, found)
    } catch {
      this.none = true // faces were not looked for
    }
  }

  draw (time) {
    const { video, canvas } = this
    const index = Math.floor(time / PIECE_S)
    this.load(index)
    const { clientWidth: wide, clientHeight: high, videoWidth, videoHeight } = video
    if (!videoWidth || this.none) return
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high })
    const pen = canvas.getContext('2d')
    pen.clearRect(0, 0, wide, high)
    const found = this.pieces.get(index)
    if (!found?.time_s?.length) return
    const at = found.time_s.findLastIndex((t) => t <= time + 0.02)
    if (at < 0 || time - found.time_s[at] > FRESH_S || !found.boxes[at]) return
    // The picture keeps its shape within the element.
    const scale = Math.min(wide / videoWidth, high / videoHeight)
    const [left, top] = [(wide - videoWidth * scale) / 2, (high - videoHeight * scale) / 2]
    pen.strokeStyle = palette().face
    pen.lineWidth = 2
    const [x, y, width, height] = found.boxes[at]
    pen.strokeRect(left + x * scale, top + y * scale, width * scale, height * scale)
  }
}
