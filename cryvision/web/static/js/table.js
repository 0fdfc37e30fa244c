// The table of clips: sorted by any column, filtered by name and status.

import { fill, h, icon, iconButton } from './dom.js'
import { clock, decibels, length, notScored, plural } from './format.js'

const STATUS = {
  'not scored': ['Not scored', 'idle'],
  waiting: ['Waiting', 'busy'],
  scoring: ['Scoring', 'busy'],
  done: ['Scored', 'done'],
  failed: ['Failed', 'failed']
}

const COLUMNS = [
  { key: 'name', title: 'Clip', cell: nameCell },
  { key: 'status', title: 'Status', cell: statusCell },
  { key: 'duration_s', title: 'Length', number: true, cell: (clip) => known(clip.duration_s, (s) => clock(s, 0)) },
  { key: 'cry_seconds', title: 'Crying', number: true, cell: cryCell },
  { key: 'n_bouts', title: 'Bouts', number: true, cell: (clip) => known(clip.n_bouts, String) },
  { key: 'loudest_db', title: 'Loudest', number: true, cell: (clip) => known(clip.loudest_db, decibels) },
  { key: 'not_scored_s', title: 'Not scored', number: true, cell: notScoredCell },
  { key: 'start_time', title: 'Recorded', cell: (clip) => known(clip.start_time, recorded) },
  { key: 'corrected', title: 'Corrected', cell: (clip) => (clip.corrected ? h('span.mark', {}, icon('check'), 'Yes') : h('span.none', {}, '–')) }
]

function known (value, write) {
  return value === null || value === undefined ? h('span.none', {}, '–') : write(value)
}

function recorded (time) {
  const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/.exec(time)
  return parts ? h('span.when', {}, parts[1], ' ', h('b', {}, parts[2])) : String(time)
}

const TAIL = 14 // letters at the end of a name that are always seen

/** The name as a link; of a long one the middle is left out. */
function nameCell (clip) {
  const letters = [...clip.name] // no letter of two halves is cut
  const cut = Math.max(0, letters.length - TAIL)
  return [h('a.clip-name', { href: `#clip/${encodeURIComponent(clip.clip_id)}`, title: clip.name, 'aria-label': clip.name },
    h('span.name-start', {}, letters.slice(0, cut).join('')), h('span.name-end', {}, letters.slice(cut).join(''))),
  clip.error ? h('span.clip-error', { title: clip.error }, clip.error) : null]
}

function statusCell (clip, { onScore, onDelete }) {
  const [text, kind] = STATUS[clip.status] || [clip.status, 'idle']
  const score = ['not scored', 'failed'].includes(clip.status)
    ? h('button.small', { type: 'button', 'aria-label': `Score ${clip.name}`, onclick: () => onScore(clip) }, clip.status === 'failed' ? 'Again' : 'Score')
    : null
  const remove = clip.uploaded ? iconButton('trash', `Delete ${clip.name}`, () => onDelete(clip)) : null
  return h('span.row', {}, h(`span.status.${kind}`, {}, text), score, remove)
}

function cryCell (clip) {
  if (clip.cry_seconds === null || clip.cry_seconds === undefined) return h('span.none', {}, '–')
  const bar = h('span.cry-bar', { 'aria-hidden': 'true' }, h('span', {}))
  bar.firstChild.style.width = `${Math.min(100, 100 * clip.cry_seconds / (clip.duration_s || 1))}%`
  return [bar, length(clip.cry_seconds)]
}

/** What was not scored has its own look: it is not the same as no crying. */
function notScoredCell (clip) {
  if (!Number.isFinite(clip.not_scored_s)) return h('span.none', {}, '–')
  const parts = notScored(clip)
  return parts.length ? h('span.parts', {}, parts.map((text) => h('span.not-scored', {}, text))) : '0 %'
}

function compared (a, b, key) {
  const [x, y] = [a[key], b[key]]
  if (x === y || (isEmpty(x) && isEmpty(y))) return a.name.localeCompare(b.name, undefined, { numeric: true })
  // What is not known comes last, whichever way the table is sorted.
  if (isEmpty(x)) return 'last'
  if (isEmpty(y)) return 'first'
  return typeof x === 'number' ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true })
}

const isEmpty = (value) => value === null || value === undefined

/** Sort clips by a column; unknown values last. */
function sorted (clips, key, ascending) {
  return [...clips].sort((a, b) => {
    const order = compared(a, b, key)
    if (order === 'last') return 1
    if (order === 'first') return -1
    return ascending ? order : -order
  })
}

/** Make the table; `show(clips)` fills it. Actions are onScore(clip) and onDelete(clip). */
export function clipTable (actions) {
  let clips = []
  let [key, ascending] = ['name', true]
  const search = h('input', { type: 'search', placeholder: 'Filter by name', 'aria-label': 'Filter by name', oninput: draw })
  const status = h('select', { 'aria-label': 'Filter by status', onchange: draw },
    h('option', { value: '' }, 'Any status'),
    Object.entries(STATUS).map(([value, [text]]) => h('option', { value }, text)),
    h('option', { value: 'crying' }, 'With crying'),
    h('option', { value: 'uncorrected' }, 'Scored, not corrected'))
  const summary = h('p.muted', {})
  const body = h('tbody')
  const heads = COLUMNS.map((column) => h(`th${column.number ? '.number' : ''}`, { scope: 'col' },
    h('button.sort', { type: 'button', onclick: () => sortBy(column) }, column.title, h('span.arrow', { 'aria-hidden': 'true' }))))
  const element = h('div.table-block', {},
    h('div.filters', {}, search, status),
    h('div.table-scroll', { tabIndex: 0, role: 'region', 'aria-label': 'Table of clips' },
      h('table.table', {}, h('thead', {}, h('tr', {}, heads)), body)))

  function sortBy (column) {
    ascending = key === column.key ? !ascending : !column.number
    key = column.key
    draw()
  }

  function matches (clip) {
    const wanted = search.value.trim().toLowerCase()
    if (wanted && !clip.name.toLowerCase().includes(wanted)) return false
    if (status.value === 'crying') return clip.cry_seconds > 0
    if (status.value === 'uncorrected') return clip.status === 'done' && !clip.corrected
    return !status.value || clip.status === status.value
  }

  function row (clip) {
    return h('tr', {},
      COLUMNS.map((column) => h(`td${column.number ? '.number' : ''}`, { data: { title: column.title } }, column.cell(clip, actions))))
  }

  function draw () {
    // A click may be under way in a row: rows are replaced, but focus stays.
    const focused = document.activeElement?.getAttribute?.('aria-label')
    heads.forEach((head, n) => {
      if (COLUMNS[n].key === key) head.setAttribute('aria-sort', ascending ? 'ascending' : 'descending')
      else head.removeAttribute('aria-sort')
    })
    const rows = sorted(clips.filter(matches), key, ascending)
    fill(body, rows.length
      ? rows.map(row)
      : h('tr', {}, h('td.empty-row', { colSpan: COLUMNS.length }, clips.length ? 'No clip matches.' : 'There is no sound or video in this folder.')))
    if (focused && body.contains(document.activeElement) === false) {
      body.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus()
    }
    const done = clips.filter((clip) => clip.status === 'done')
    const seconds = done.map((clip) => clip.cry_seconds).filter((s) => !isEmpty(s))
    const crying = seconds.length ? `, ${length(seconds.reduce((sum, s) => sum + s, 0))} of crying` : ''
    summary.textContent = `${plural(clips.length, 'clip')}, ${done.length} scored${crying}`
  }

  return {
    element,
    summary,
    show (shown) {
      const same = JSON.stringify(shown) === JSON.stringify(clips)
      clips = shown
      if (!same || !body.children.length) draw()
    },
    fault (message) { summary.textContent = message }
  }
}
