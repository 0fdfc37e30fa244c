// How times, lengths and scores are written; the same as in the command's text.

/** Write a time as m:ss.t, or h:mm:ss.t from an hour on. */
export function clock (seconds, decimals = 1) {
  const unit = 10 ** decimals
  const ticks = Math.max(0, Math.round(seconds * unit))
  const whole = Math.floor(ticks / unit)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  const two = (n) => String(n).padStart(2, '0')
  const tail = two(whole % 60) + (decimals ? '.' + String(ticks % unit).padStart(decimals, '0') : '')
  return hours ? `${hours}:${two(minutes)}:${tail}` : `${minutes}:${tail}`
}

/** Write a length of time: 5.2 s, 8 min 14 s, 3 h 5 min. */
export function length (seconds, decimals = 1) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–'
  if (seconds < 120) return `${seconds.toFixed(decimals)} s`
  const all = Math.round(seconds)
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60]
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${all % 60} s`
}

export function score (value) {
  return Number.isFinite(value) ? value.toFixed(2) : '?'
}

function share (value) {
  return value > 0 && value < 0.01 ? '< 1 %' : `${Math.round(value * 100)} %`
}

/** Say how much of a clip was not scored: a text for each reason, none where all was scored. */
export function notScored ({ duration_s: duration, not_scored_s: all, too_quiet_s: quiet }) {
  return [[quiet, 'too quiet'], [all - quiet, 'not heard']]
    .filter(([seconds]) => seconds > 0.005 * duration)
    .map(([seconds, why]) => `${share(seconds / duration)} ${why}`)
}

export function decibels (value) {
  return Number.isFinite(value) ? `${value.toFixed(0).replace('-', '−')} dB` : '–'
}

/** Write a tag or label as words: adult_speech is "adult speech". */
export function words (tag) {
  return tag.replaceAll('_', ' ')
}

export function timeOfDay (date) {
  return date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
}

export function plural (n, noun) {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
