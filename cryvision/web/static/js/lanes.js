// How each lane of the timeline is drawn. All take a frame: {pen, x(t), t0, t1, left, width, ...}.

import { faded, hatching, inkOn, labelColour, palette } from './colours.js'
import { clock, words } from './format.js'

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400]
const LABEL_ROOM = 74 // pixels from one time on the ruler to the next

export function drawRuler (frame, y, height) {
  const { pen, x, t0, t1, left, width } = frame
  const colours = palette()
  const step = STEPS.find((s) => s * width / (t1 - t0) >= LABEL_ROOM) ?? STEPS.at(-1)
  const decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0
  pen.font = colours.font
  pen.textBaseline = 'middle'
  pen.textAlign = 'left'
  const fine = step / 5
  for (let n = Math.ceil(t0 / fine); n * fine <= t1; n++) {
    const at = Math.round(x(n * fine)) + 0.5
    const whole = n % 5 === 0
    pen.strokeStyle = colours.line
    pen.beginPath()
    pen.moveTo(at, y + height - (whole ? 9 : 4))
    pen.lineTo(at, y + height)
    pen.stroke()
    if (!whole) continue
    const text = clock(n * fine, decimals)
    if (at + pen.measureText(text).width + 6 > left + width) continue
    pen.fillStyle = colours.muted
    pen.fillText(text, at + 4, y + height / 2 - 1)
  }
}

/** Draw parts of tiles, each within its own stretch, so that a coarser one fills only its gap. */
function eachPart (frame, parts, y, height, draw) {
  const { pen, x } = frame
  for (const part of parts) {
    pen.save()
    pen.beginPath()
    const left = Math.floor(x(part.from))
    pen.rect(left, y, Math.ceil(x(part.to)) - left, height)
    pen.clip()
    draw(part)
    pen.restore()
  }
}

/** Draw the waveform by columns of one pixel, which costs far less than one large outline. */
export function drawWave (frame, parts, y, height, colour = palette().wave) {
  const { pen, left, width, x } = frame
  const middle = y + height / 2
  const scale = height / 2 - 2
  pen.fillStyle = colour
  for (const { from, to, start, end, data: { min, max } } of parts) {
    const n = max.length
    const first = Math.max(left, Math.floor(x(from)))
    const last = Math.min(left + width, Math.floor(x(to)))
    const [origin, step] = [x(start), n / (x(end) - x(start))]
    for (let column = first; column < last; column++) {
      const a = Math.max(0, Math.floor((column - origin) * step))
      const b = Math.min(n, Math.max(a + 1, Math.floor((column + 1 - origin) * step)))
      let [low, high] = [0, 0]
      for (let i = a; i < b; i++) {
        if (min[i] < low) low = min[i]
        if (max[i] > high) high = max[i]
      }
      const top = Math.max(high * scale, 0.5)
      pen.fillRect(column, middle - top, 1, top + Math.max(-low * scale, 0.5))
    }
  }
}

export function drawSpectrogram (frame, parts, y, height) {
  const { pen, x } = frame
  pen.imageSmoothingEnabled = true
  eachPart(frame, parts, y, height, ({ start, end, data }) => {
    pen.drawImage(data, x(start), y, x(end) - x(start), height)
  })
}

/** Give the first value of a tile that is in view, and the one after the last. */
function inView ({ t0, t1 }, { start, end }, n) {
  const at = (time) => n * (time - start) / (end - start)
  return [Math.max(0, Math.floor(at(t0)) - 1), Math.min(n, Math.ceil(at(t1)) + 1)]
}

/** Hatch the stretches of a tile where a column is null: nothing was scored there. */
function drawUnknown (frame, tile, values, y, height) {
  const { pen, x } = frame
  const step = (tile.end - tile.start) / values.length
  const [first, last] = inView(frame, tile, values.length)
  pen.fillStyle = hatching()
  for (let i = first; i < last; i++) {
    if (values[i] !== null) continue
    let j = i
    while (j < last && values[j] === null) j++
    const from = x(tile.start + i * step)
    pen.fillRect(from, y, Math.max(1, x(tile.start + j * step) - from), height)
    i = j
  }
}

/** Hatch what lies behind the end of the sound: there was nothing to be heard. */
export function drawNoSound (frame, soundEnd, y, height) {
  const { pen, x, t1, left, width } = frame
  if (!(soundEnd < t1 - 0.05)) return
  const from = Math.max(left, x(soundEnd))
  pen.fillStyle = palette().sunk
  pen.fillRect(from, y, left + width - from, height)
  pen.fillStyle = hatching()
  pen.fillRect(from, y, left + width - from, height)
}

/** Draw the crying score as an area, with the level at which an event opens. */
export function drawScore (frame, parts, y, height, threshold) {
  const { pen, x, left, width } = frame
  const colours = palette()
  const top = y + 3
  const room = height - 4
  eachPart(frame, parts, y, height, (part) => {
    const values = part.data.columns.cry ?? part.data.columns.cry_smooth
    if (!values) return
    const n = values.length
    const at = (i) => x(part.start + (part.end - part.start) * (i + 0.5) / n)
    const [first, last] = inView(frame, part, n)
    pen.beginPath()
    let open = false
    const bottom = top + room
    for (let i = first; i < last; i++) {
      if (values[i] === null) {
        if (open) pen.lineTo(at(i - 1), bottom)
        open = false
        continue
      }
      if (!open) pen.moveTo(at(i), bottom)
      open = true
      pen.lineTo(at(i), bottom - values[i] / 100 * room)
    }
    if (open) pen.lineTo(at(last - 1), bottom)
    pen.fillStyle = faded(colours.cry, 0.22)
    pen.fill()
    pen.strokeStyle = colours.cry
    pen.lineWidth = 1.3
    pen.stroke()
    drawUnknown(frame, part, values, y, height)
  })
  if (Number.isFinite(threshold)) {
    pen.save()
    pen.setLineDash([4, 4])
    pen.lineWidth = 1
    pen.strokeStyle = colours.muted
    const level = Math.round(top + room * (1 - threshold)) + 0.5
    pen.beginPath()
    pen.moveTo(left, level)
    pen.lineTo(left + width, level)
    pen.stroke()
    pen.restore()
  }
}

const strips = new WeakMap()

/** A strip of one pixel's height for a column of a tile: how strongly a tag was heard. */
function strip (data, column, colour) {
  const kept = strips.get(data) ?? {}
  const key = `${column} ${colour}`
  if (!kept[key]) {
    const values = data.columns[column]
    const canvas = document.createElement('canvas')
    canvas.width = values.length
    canvas.height = 1
    const pen = canvas.getContext('2d')
    const image = pen.createImageData(values.length, 1)
    const n = parseInt(colour.slice(1), 16)
    values.forEach((value, i) => {
      image.data.set([n >> 16, (n >> 8) & 255, n & 255, 2.55 * (value ?? 0)], 4 * i)
    })
    pen.putImageData(image, 0, 0)
    kept[key] = canvas
    strips.set(data, kept)
  }
  return kept[key]
}

export function drawStrip (frame, parts, column, y, height, colour) {
  const { pen, x } = frame
  pen.imageSmoothingEnabled = false
  eachPart(frame, parts, y, height, (part) => {
    const values = part.data.columns[column]
    if (!values?.length) return
    pen.drawImage(strip(part.data, column, colour), x(part.start), y, x(part.end) - x(part.start), height)
    drawUnknown(frame, part, values, y, height)
  })
}

/** Draw events in their row, labels where there is room for them. */
export function drawEvents (frame, events, y, height, { rows, labels, selected, hovered }) {
  const { pen, x, t0, t1 } = frame
  pen.font = '600 ' + palette().font
  pen.textBaseline = 'middle'
  pen.textAlign = 'left'
  for (const event of events) {
    if (event.offset_s < t0 || event.onset_s > t1) continue
    const [row, count] = rows.get(event.id) ?? [0, 1]
    const tall = (height - 8) / count
    const top = y + 4 + row * tall
    const from = x(event.onset_s)
    const wide = Math.max(2, x(event.offset_s) - from)
    const colour = labelColour(event.label, labels)
    const chosen = event.id === selected
    if (wide < 4) {
      pen.fillStyle = faded(colour, chosen ? 1 : 0.75)
      pen.fillRect(from, top, wide, tall - 1)
      continue
    }
    pen.fillStyle = faded(colour, chosen ? 0.95 : event.id === hovered ? 0.7 : 0.52)
    pen.beginPath()
    pen.roundRect(from, top, wide, tall - 1, Math.min(5, wide / 2))
    pen.fill()
    pen.strokeStyle = colour
    pen.lineWidth = chosen ? 2 : 1
    pen.stroke()
    drawEventText(pen, event, from, wide, top + tall / 2, chosen ? inkOn(colour) : palette().text)
  }
}

function drawEventText (pen, event, from, wide, middle, ink) {
  const text = words(event.label)
  const room = wide - 12
  if (room < 14) return
  pen.save()
  pen.beginPath()
  pen.rect(from + 4, middle - 12, wide - 8, 24)
  pen.clip()
  pen.fillStyle = ink
  pen.fillText(text, from + 6, middle)
  const used = pen.measureText(text).width
  if (event.checked && room > used + 16) {
    pen.strokeStyle = ink
    pen.lineWidth = 1.8
    const at = from + 12 + used
    pen.beginPath()
    pen.moveTo(at, middle)
    pen.lineTo(at + 3, middle + 3)
    pen.lineTo(at + 8, middle - 4)
    pen.stroke()
  }
  pen.restore()
}

/** Draw candidates that the tagger rejected as dashed outlines. */
export function drawRejected (frame, events, y, height) {
  const { pen, x, t0, t1 } = frame
  pen.save()
  pen.setLineDash([3, 3])
  pen.strokeStyle = palette().muted
  pen.lineWidth = 1
  for (const event of events) {
    if (event.offset_s < t0 || event.onset_s > t1) continue
    const from = x(event.onset_s)
    pen.strokeRect(Math.round(from) + 0.5, y + 6.5, Math.max(2, x(event.offset_s) - from), height - 13)
  }
  pen.restore()
}

/** Tint the stretches of events in a lane below, so that the eye finds them there. */
export function drawTint (frame, events, y, height, labels, selected) {
  const { pen, x, t0, t1 } = frame
  for (const event of events) {
    if (event.offset_s < t0 || event.onset_s > t1) continue
    const from = x(event.onset_s)
    pen.fillStyle = faded(labelColour(event.label, labels), event.id === selected ? 0.26 : 0.13)
    pen.fillRect(from, y, Math.max(1, x(event.offset_s) - from), height)
  }
}

/** Give each event a row, so that events at the same time lie above one another, three at most. */
export function stacked (events) {
  const rows = new Map()
  let group = []
  let ends = []
  const close = () => group.forEach((event) => { rows.get(event.id)[1] = ends.length })
  let until = -Infinity
  for (const event of [...events].sort((a, b) => a.onset_s - b.onset_s)) {
    if (event.onset_s >= until) {
      close()
      ;[group, ends] = [[], []]
    }
    let row = ends.findIndex((end) => end <= event.onset_s)
    if (row < 0) row = Math.min(ends.length, 2)
    ends[row] = event.offset_s
    rows.set(event.id, [row, 1])
    group.push(event)
    until = Math.max(until, event.offset_s)
  }
  close()
  return rows
}
