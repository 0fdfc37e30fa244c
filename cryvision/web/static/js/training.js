// Train a detector on the folder's corrections, and show what that changed.

import { followJob, get, post, remove } from './api.js'
import { askTraining } from './dialogs.js'
import { fill, h, icon } from './dom.js'
import { plural, score } from './format.js'

/** Make the card; `show(clips)` tells it which clips are corrected. */
export function trainingCard (signal) {
  const text = h('p.muted', {})
  const result = h('div', { role: 'status' })
  const button = h('button', { type: 'button', onclick: train }, icon('sparkle'), 'Train a detector')
  const element = h('section.card.training', { 'aria-label': 'Train on corrections' },
    h('header.card-head', {}, h('h2', {}, 'Train on your corrections'), button), text, result)
  let [running, n] = [false, 0]

  async function train () {
    const options = await askTraining()
    if (options) await follow(post('/api/train', options))
  }

  /** Show how far a training is, and what came of it; it goes on whatever the page shows. */
  async function follow (asked) {
    running = button.disabled = true
    const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of training' })
    const line = h('span.muted', {}, 'Starting')
    try {
      const { job_id: job } = await asked
      if (!job) return
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
      button.disabled = !n
    }
  }

  follow(get('/api/train', signal))
  return {
    element,
    show (clips) {
      n = clips.filter((clip) => clip.corrected).length
      text.textContent = n
        ? `${plural(n, 'corrected clip')}. Some are kept apart by subject, to measure what training changed.`
        : 'Correct some clips first: open one, move what is wrong, mark the rest checked.'
      button.disabled = running || !n
    }
  }
}

function comparison ({ before, after, n_clips: n, note, protocol, bundle_url: address }) {
  const change = after.event_f1 - before.event_f1
  const look = Math.abs(change) < 0.005 ? 'none' : change > 0 ? 'better' : 'worse'
  const rows = [['Before', score(before.event_f1), ''], ['After', `${score(after.event_f1)} (${after.interval.map(score).join(' to ')})`, ''],
    ['Change', `${change >= 0 ? '+' : '−'}${Math.abs(change).toFixed(2)}`, look]]
  return [
    h('table.compare', {}, h('caption', {}, 'Event F1 on clips kept apart'),
      h('tbody', {}, rows.map(([name, text, kind]) => h('tr', {}, h('th', { scope: 'row' }, name), h(kind ? `td.${kind}` : 'td', {}, text))))),
    h('p.muted', {}, `${plural(n, 'clip')}, ${protocol}. ${note}`),
    h('a.button', { href: address, download: true }, icon('down'), 'Download the bundle')
  ]
}
