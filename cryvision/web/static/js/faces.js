// Faces in a video: boxes over the picture, and where there are any as a lane of the timeline.

import { clipPath, followJob, get } from './api.js'
import { palette } from './colours.js'

/** Ask for the faces of a clip; the first request has them looked for. Null where nobody can look. */
async function loadFaces (id, signal) {
  const path = clipPath(id, '/faces')
  let found = await get(path, signal)
  if (found.job_id && ['waiting', 'running'].includes(found.status)) {
    await followJob(found.job_id, undefined, signal)
    found = await get(path, signal)
  }
  return found.status === 'done' ? found : null
}

export class Faces {
  /** @param {string} id @param {HTMLVideoElement} video @param {() => void} onArrival */
  constructor (id, video, onArrival) {
    Object.assign(this, { id, video, onArrival })
    this.found = null
    this.canvas = document.createElement('canvas')
    this.canvas.className = 'faces'
    this.canvas.setAttribute('aria-hidden', 'true')
  }

  async load (signal) {
    try {
      this.found = await loadFaces(this.id, signal)
    } catch {
      return // without the face detector there are no faces to show
    }
    if (this.found) this.onArrival()
  }

  /** Draw the box of the face at a time over the picture. */
  draw (time) {
    const { video, canvas, found } = this
    const { clientWidth: wide, clientHeight: high, videoWidth, videoHeight } = video
    if (!videoWidth || !found) return
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high })
    const pen = canvas.getContext('2d')
    pen.clearRect(0, 0, wide, high)
    const at = found.time_s.findLastIndex((t) => t <= time + 0.02)
    if (at < 0 || time - found.time_s[at] > found.every_s) return
    // The picture keeps its shape within the element.
    const scale = Math.min(wide / videoWidth, high / videoHeight)
    const [left, top] = [(wide - videoWidth * scale) / 2, (high - videoHeight * scale) / 2]
    const [x, y, width, height] = found.boxes[at]
    pen.strokeStyle = palette().face
    pen.lineWidth = 2.5
    pen.beginPath()
    pen.roundRect(left + x * scale, top + y * scale, width * scale, height * scale, 6)
    pen.stroke()
  }

  /** Draw the lane: a mark for each picture with a face. */
  drawLane ({ pen, x, t0, t1 }, y, height) {
    const { time_s: times, every_s: every } = this.found
    pen.fillStyle = palette().face
    for (const time of times) {
      if (time + every < t0 || time > t1) continue
      const from = Math.floor(x(time)) // whole pixels, lest there be a seam between two
      pen.fillRect(from, y, Math.max(1, Math.ceil(x(time + every)) - from), height)
    }
  }
}
