// Minutes of crying by hour, for clips whose recording time is known.

import { get } from './api.js'
import { fill, h } from './dom.js'

const TOPS = [1, 2, 5, 10, 15, 20, 30, 45, 60] // minutes in the hour of the darkest shade
const SHADES = 5

/** Whether nothing is known of an hour: not recorded, or all of it too quiet to be scored. */
const unknown = ({ minutes }) => minutes === null

function shade (hour, top) {
  if (unknown(hour)) return 'unknown'
  return `level-${Math.min(SHADES, Math.ceil(SHADES * hour.minutes / top))}`
}

const written = (minutes) => `${minutes < 10 ? minutes.toFixed(1) : Math.round(minutes)} min`

function spoken (hour) {
  if (!hour.recorded) return 'not recorded'
  const crying = unknown(hour) ? [] : [`${written(hour.minutes)} of crying`]
  const quiet = unknown(hour) || hour.quiet >= 0.05 ? [`${written(hour.quiet)} too quiet to be scored`] : []
  return [...crying, ...quiet].join(', ')
}

/** Make the card; it stays hidden while no recording time is known. */
export function heatmapCard () {
  const table = h('table.heatmap')
  const days = h('button.segment', { type: 'button', 'aria-pressed': 'true', onclick: () => by('day') }, 'Days')
  const weeks = h('button.segment', { type: 'button', 'aria-pressed': 'false', onclick: () => by('week') }, 'Weekdays')
  const most = h('span')
  const legend = h('div.legend', {},
    h('span.key.unknown', {}), 'not recorded, or too quiet', h('span.key.level-0', {}), 'none',
    [1, 2, 3, 4, 5].map((level) => h(`span.key.level-${level}`, {})), most)
  const element = h('section.card.heat', { 'aria-label': 'Crying by hour', hidden: true },
    h('header.card-head', {}, h('h2', {}, 'Crying by hour'), h('div.segments', { role: 'group', 'aria-label': 'Rows' }, days, weeks)),
    h('div.table-scroll', { tabIndex: 0, role: 'region', 'aria-label': 'Minutes of crying by hour' }, table), legend)
  let chosen = 'day'
  let seen = ''

  async function by (unit) {
    chosen = unit
    days.setAttribute('aria-pressed', String(unit === 'day'))
    weeks.setAttribute('aria-pressed', String(unit === 'week'))
    draw(await get(`/api/folder/heatmap?by=${unit}`))
  }

  function draw (map) {
    element.hidden = !map.days.length
    const largest = Math.max(0, ...map.minutes.flat().filter(Number.isFinite))
    const top = TOPS.find((minutes) => minutes >= largest) ?? TOPS.at(-1)
    most.textContent = `up to ${top} min`
    fill(table,
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, h('span.visually-hidden', {}, 'Day')),
        map.hours.map((hour) => h('th', { scope: 'col' }, hour % 3 === 0 ? String(hour) : h('span.visually-hidden', {}, String(hour)))))),
      h('tbody', {}, map.days.map((day, row) => h('tr', {}, h('th', { scope: 'row' }, String(day)),
        map.hours.map((hour, column) => {
          const at = (name) => map[name][row][column]
          const cell = { minutes: at('minutes'), recorded: at('recorded_minutes'), quiet: at('too_quiet_minutes') }
          const text = spoken(cell)
          return h(`td.${shade(cell, top)}`, { title: `${day}, ${hour}:00 – ${text}` }, h('span.visually-hidden', {}, text))
        })))))
  }

  return {
    element,
    async refresh (clips) {
      const now = JSON.stringify(clips.map((clip) => [clip.start_time, clip.status === 'done', clip.cry_seconds, clip.n_events]))
      if (now === seen || !clips.some((clip) => clip.start_time)) return
      seen = now
      try { await by(chosen) } catch { element.hidden = true }
    }
  }
}
