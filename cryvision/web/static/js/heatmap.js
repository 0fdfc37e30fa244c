// Minutes of crying by hour, for clips whose recording time is known.

import { get } from './api.js'
import { fill, h } from './dom.js'

const TOPS = [1, 2, 5, 10, 15, 20, 30, 45, 60] // minutes in the hour of the darkest shade
const SHADES = 5

function shade (minutes, top) {
  if (minutes === null || minutes === undefined) return 'unknown'
  return `level-${Math.min(SHADES, Math.ceil(SHADES * minutes / top))}`
}

function spoken (minutes) {
  if (minutes === null || minutes === undefined) return 'not recorded'
  return `${minutes < 10 ? minutes.toFixed(1) : Math.round(minutes)} min of crying`
}

/** Make the card; it stays hidden while no recording time is known. */
export function heatmapCard () {
  const table = h('table.heatmap')
  const days = h('button.segment', { type: 'button', 'aria-pressed': 'true', onclick: () => by('day') }, 'Days')
  const weeks = h('button.segment', { type: 'button', 'aria-pressed': 'false', onclick: () => by('week') }, 'Weekdays')
  const most = h('span')
  const legend = h('div.legend', {},
    h('span.key.unknown', {}), 'not recorded', h('span.key.level-0', {}), 'none',
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
    element.hidden = !map.days?.length
    const largest = Math.max(0, ...map.minutes.flat().filter(Number.isFinite))
    const top = TOPS.find((minutes) => minutes >= largest) ?? TOPS.at(-1)
    most.textContent = `up to ${top} min`
    fill(table,
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, h('span.visually-hidden', {}, 'Day')),
        map.hours.map((hour) => h('th', { scope: 'col' }, hour % 3 === 0 ? String(hour) : h('span.visually-hidden', {}, String(hour)))))),
      h('tbody', {}, map.days.map((day, row) => h('tr', {}, h('th', { scope: 'row' }, String(day)),
        map.hours.map((hour, column) => {
          const minutes = map.minutes[row][column]
          const text = spoken(minutes)
          return h(`td.${shade(minutes, top)}`, { title: `${day}, ${hour}:00 – ${text}` }, h('span.visually-hidden', {}, text))
        })))))
  }

  return {
    element,
    async refresh (clips) {
      const now = JSON.stringify(clips.map((clip) => [clip.start_time, clip.cry_seconds]))
      if (now === seen || !clips.some((clip) => clip.start_time)) return
      seen = now
      try { await by(chosen) } catch { element.hidden = true }
    }
  }
}
