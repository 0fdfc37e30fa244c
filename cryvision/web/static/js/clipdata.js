// What the timeline of a clip draws, fetched in tiles.

import { clipPath, get, picture, query } from './api.js'
import { palette } from './colours.js'
import { Tiles } from './tiles.js'

const POINTS = 1024
const PICTURE_POINTS = 768
const PICTURE_HEIGHT = 128

/** Make the tiles of a clip: waveform, spectrogram and tracks. */
export function tilesOf (id, duration, hasSound, onArrival) {
  const stretch = (start, end, rest) => query({ start_s: start.toFixed(6), end_s: end.toFixed(6), ...rest })
  const peaks = (start, end, signal) => get(clipPath(id, `/peaks?${stretch(start, end, { points: POINTS })}`), signal)
  const tracks = (start, end, signal) => get(clipPath(id, `/tracks?${stretch(start, end, { points: POINTS })}`), signal)
  const spectrogram = (start, end, signal) => picture(clipPath(id, `/spectrogram.png?${stretch(start, end, { width: PICTURE_POINTS, height: PICTURE_HEIGHT })}`), signal)
  return {
    peaks: hasSound ? new Tiles(duration, POINTS, 0.001, peaks, onArrival) : null,
    spectrogram: hasSound ? new Tiles(duration, PICTURE_POINTS, 0.008, spectrogram, onArrival) : null,
    tracks: new Tiles(duration, POINTS, 1 / 30, tracks, onArrival)
  }
}

/** List the sounds beside crying, those that were detected first. */
export function tagsOf (record) {
  return Object.entries(record.heard_seconds)
    .filter(([name]) => name !== 'cry')
    .map(([name, seconds], n) => ({
      name, seconds, detected: seconds > 0, colour: () => palette().labels[1 + n % (palette().labels.length - 1)]
    }))
    .sort((a, b) => b.seconds - a.seconds)
}
