// What the timeline of a clip draws, fetched in tiles, and facts that are read from it.

import { clipPath, get, query } from './api.js'
import { palette } from './colours.js'
import { Tiles } from './tiles.js'

const POINTS = 1024
const PICTURE_POINTS = 768
const PICTURE_HEIGHT = 128

/** Load a picture; its pixels are ready when this resolves. */
async function loadImage (source) {
  const image = new Image()
  image.src = source
  await image.decode()
  return image
}

/** Make the tiles of a clip: waveform, spectrogram and tracks. */
export function tilesOf (id, duration, hasSound, onArrival) {
  const stretch = (start, end, rest) => query({ start_s: start.toFixed(6), end_s: end.toFixed(6), ...rest })
  const peaks = (start, end, signal) => get(clipPath(id, `/peaks?${stretch(start, end, { points: POINTS })}`), signal)
  const tracks = (start, end, signal) => get(clipPath(id, `/tracks?${stretch(start, end, { points: POINTS })}`), signal)
  const picture = (start, end) => loadImage(clipPath(id, `/spectrogram.png?${stretch(start, end, { width: PICTURE_POINTS, height: PICTURE_HEIGHT })}`))
  return {
    peaks: hasSound ? new Tiles(duration, POINTS, 0.001, peaks, onArrival) : null,
    spectrogram: hasSound ? new Tiles(duration, PICTURE_POINTS, 0.008, picture, onArrival) : null,
    tracks: new Tiles(duration, POINTS, 1 / 30, tracks, onArrival)
  }
}

/** List the sounds beside crying, those that were detected first. */
export function tagsOf (record) {
  return Object.entries(record.heard_seconds || {})
    .filter(([name]) => name !== 'cry')
    .map(([name, seconds], n) => ({
      name, seconds, detected: seconds > 0, colour: () => palette().labels[1 + n % (palette().labels.length - 1)]
    }))
    .sort((a, b) => b.seconds - a.seconds)
}

/** Measure which share of a clip has no crying score. */
export async function measure (id, duration, signal) {
  const { columns } = await get(clipPath(id, `/tracks?${query({ start_s: 0, end_s: duration, points: POINTS })}`), signal)
  const scores = columns.cry ?? columns.cry_smooth ?? []
  return { share: scores.length ? scores.filter((value) => value === null).length / scores.length : 1 }
}
