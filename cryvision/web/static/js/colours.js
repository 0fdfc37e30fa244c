// Colours of the canvas, from the style sheet, and of labels and tags.

// Okabe & Ito's colours, distinct to colour-blind readers: https://jfly.uni-koeln.de/color/
const LABELS = {
  light: ['#d97a00', '#0072b2', '#009e73', '#b8478f', '#c74a00', '#2f86b8', '#7a6a00', '#5b4bb7', '#555b66'],
  dark: ['#f6a83a', '#56a9e0', '#2fc497', '#e08bc0', '#f07f4a', '#7fc8f0', '#d9cc45', '#a99bff', '#aab2bf']
}

let cached = null

/** The canvas colours of the theme that is shown. */
export function palette () {
  if (cached) return cached
  const style = getComputedStyle(document.documentElement)
  const value = (name) => style.getPropertyValue(`--${name}`).trim()
  const theme = document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light'
  cached = {
    theme,
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
    labels: LABELS[theme],
    font: '11px ' + getComputedStyle(document.body).fontFamily
  }
  return cached
}

addEventListener('themechange', () => { cached = null })

/** Colour of a label by its place in the label set. */
export function labelColour (label, labels) {
  const place = labels.indexOf(label)
  const colours = palette().labels
  return colours[(place < 0 ? labels.length : place) % colours.length]
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

let hatchOf = null

/** The pattern of what was not heard or not looked at. */
export function hatching (context) {
  const { hatch, theme } = palette()
  if (hatchOf?.theme !== theme) {
    const tile = document.createElement('canvas')
    tile.width = tile.height = 8
    const pen = tile.getContext('2d')
    pen.strokeStyle = hatch
    pen.lineWidth = 1.4
    for (const shift of [-8, 0, 8]) {
      pen.beginPath()
      pen.moveTo(shift, 8)
      pen.lineTo(shift + 8, 0)
      pen.stroke()
    }
    hatchOf = { theme, tile }
  }
  return context.createPattern(hatchOf.tile, 'repeat')
}
