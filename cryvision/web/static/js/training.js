// Train a detector on the folder's corrections, and show what that changed.

import { followJob, post, remove } from './api.js'
import { confirmed } from './dialogs.js'
import { fill, h, icon } from './dom.js'
import { plural, score } from './format.js'

const MEASURES = [['event_f1', 'Event F1'], ['precision', 'Precision'], ['recall', 'Recall'], ['kappa', 'Kappa']]

/** Make the card; `show(clips)` tells it which clips are corrected. */
export function trainingCard (signal) {
  const text = h('p.muted', {})
  const result = h('div', { role: 'status' })
  const button = h('button', { type: 'button', onclick: train }, icon('sparkle'), 'Train a detector')
  const element = h('section.card.training', { 'aria-label': 'Train on corrections' },
    h('header.card-head', {}, h('h2', {}, 'Train on your corrections'), button), text, result)
  let running = false

  async function train () {
    if (!(await confirmed('Train a detector?', 'It learns from the corrected clips of this folder and is tested on corrected clips kept apart. This can take a long time; the page works meanwhile.', 'Train'))) return
    running = true
    button.disabled = true
    const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of training' })
    const line = h('span.muted', {}, 'Starting')
    try {
      const { job_id: job } = await post('/api/train')
      fill(result, h('div.row', {}, line, h('button.ghost.small', { type: 'button', onclick: () => remove(`/api/jobs/${job}`) }, 'Cancel')), bar)
      const end = await followJob(job, (state) => {
        bar.value = state.progress || 0
        line.textContent = state.message || 'Training'
      }, signal)
      fill(result, comparison(end.result))
    } catch (error) {
      if (error.name !== 'AbortError') fill(result, h('p.warning', { role: 'alert' }, icon('warn'), h('span', {}, error.message)))
    } finally {
      running = false
      button.disabled = false
    }
  }

  return {
    element,
    show (clips) {
      const n = clips.filter((clip) => clip.corrected).length
      text.textContent = n
        ? `${plural(n, 'corrected clip')}. Some are kept apart by subject, to measure what training changed.`
        : 'Correct some clips first: open one, move what is wrong, mark the rest checked.'
      button.disabled = running || !n
    }
  }
}

function comparison (outcome) {
  const { before, after } = outcome
  const rows = MEASURES.filter(([key]) => key in before).map(([key, name]) => {
    const change = after[key] - before[key]
    const known = Number.isFinite(after[key]) && Number.isFinite(before[key])
    return h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, score(before[key])), h('td', {}, score(after[key])),
      h(`td.${!known || Math.abs(change) < 0.005 ? 'none' : change > 0 ? 'better' : 'worse'}`, {},
        known ? `${change >= 0 ? '+' : '−'}${Math.abs(change).toFixed(2)}` : '–'))
  })
  return [
    h('table.compare', {}, h('thead', {}, h('tr', {}, ['On clips kept apart', 'Before', 'After', 'Change'].map((name) => h('th', { scope: 'col' }, name)))), h('tbody', {}, rows)),
    outcome.n_test_clips ? h('p.muted', {}, `Measured on ${plural(outcome.n_test_clips, 'clip')} kept apart. Few clips say little.`) : null,
    outcome.bundle_url ? h('p', {}, h('a.button', { href: outcome.bundle_url, download: true }, icon('down'), 'Download the bundle')) : null
  ]
}

