// Colours of the canvas, from the style sheet, and of labels and tags.

const N_LABELS = 9 // colours of labels in the style sheet

let cached = null

/** The canvas colours of the theme that is shown. */
export function palette () {
  if (cached) return cached
  const style = getComputedStyle(document.documentElement)
  const value = (name) => style.getPropertyValue(`--${name}`).trim()
  cached = {
    surface: value('surface'),
    sunk: value('sunk'),
    line: value('line'),
    text: value('text'),
    muted: value('muted'),
    accent: value('accent'),
    wave: value('wave'),
    cry: value('cry'),
    face: value('face'),
    hatch: value('hatch'),
    labels: Array.from({ length: N_LABELS }, (_, n) => value(`label-${n}`)),
    font: '11px ' + getComputedStyle(document.body).fontFamily
  }
  return cached
}

addEventListener('themechange', () => { cached = hatch = null })

/** Which colour a label has, by its place in the label set. */
function number (label, labels) {
  const place = labels.indexOf(label)
  return (place < 0 ? labels.length : place) % N_LABELS
}

/** Colour of a label on a canvas. */
export const labelColour = (label, labels) => palette().labels[number(label, labels)]

/** Give an element the colour of a label, which follows the theme. */
export function setLabelColour (element, label, labels) {
  element.style.setProperty('--chip', `var(--label-${number(label, labels)})`)
}

/** Give a colour as #rrggbb some transparency. */
export function faded (colour, alpha) {
  return colour + Math.round(255 * alpha).toString(16).padStart(2, '0')
}

/** Black or white, whichever is easier to read on a colour. */
export function inkOn (colour) {
  const n = parseInt(colour.slice(1), 16)
  const light = [n >> 16, (n >> 8) & 255, n & 255].map((v) => (v / 255) ** 2.2)
  return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.18 ? '#10141b' : '#ffffff'
}

let hatch = null

/** The pattern of what was not scored. */
export function hatching () {
  if (hatch) return hatch
  const tile = document.createElement('canvas')
  tile.width = tile.height = 8
  const pen = tile.getContext('2d')
  pen.strokeStyle = palette().hatch
  pen.lineWidth = 1.4
  for (const shift of [-8, 0, 8]) {
    pen.beginPath()
    pen.moveTo(shift, 8)
    pen.lineTo(shift + 8, 0)
    pen.stroke()
  }
  hatch = pen.createPattern(tile, 'repeat')
  return hatch
}
