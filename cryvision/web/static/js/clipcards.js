// The cards under the timeline: what was found, agreement with the detector, downloads.

import { clipPath, followJob, get, post, query } from './api.js'
import { fill, h, icon } from './dom.js'
import { length, plural, score, words } from './format.js'

/** Show what the detector found: sounds, bouts, warnings. */
export function resultCard (clip, session) {
  const { record } = clip
  const measured = clip.honesty.replace(session.honesty, '').trim()
  const heard = Object.entries(record.heard_seconds).filter(([, seconds]) => seconds > 0).sort((a, b) => b[1] - a[1])
  const longest = heard[0]?.[1] || 1
  const rows = heard.map(([tag, seconds]) => {
    const bar = h(`span.heard-bar${tag === 'cry' ? '.cry' : ''}`, { 'aria-hidden': 'true' }, h('span'))
    bar.firstChild.style.width = `${100 * seconds / longest}%`
    return h('div.heard-row', {}, h('dt', {}, words(tag)), h('dd', {}, bar, length(seconds)))
  })
  const { bouts } = record
  const sentence = record.detector.cry === null
    ? 'Nothing was scored.'
    : bouts.length
      ? `The detector found ${length(record.detector.seconds)} of crying in ${plural(bouts.length, 'bout')}.`
      : 'The detector found no crying.'
  return h('section.card.result', { 'aria-label': 'What the detector found' },
    h('header.card-head', {}, h('h2', {}, 'Detected sounds')),
    h('p', {}, sentence, bouts.length && record.label === 'not sure' ? ' Why the baby cries is not known.' : ''),
    rows.length ? h('dl.heard', {}, rows) : null,
    Number.isFinite(record.face_share) ? h('p.muted', {}, `A face is seen in ${Math.round(record.face_share * 100)} % of the pictures.`) : null,
    record.warnings.map((text) => h('p.warning', {}, icon('warn'), h('span', {}, text))),
    measured ? h('details', {}, h('summary', {}, 'What was measured of this bundle'), h('p.muted', {}, measured)) : null)
}

const MEASURES = [
  ['event_f1', 'Event F1', 'precision and recall in one'],
  ['precision', 'Precision', 'detected events that are right'],
  ['recall', 'Recall', 'events that were detected'],
  ['kappa', 'Kappa', 'agreement in time beyond chance']
]

/** Show how well detector and corrections agree; `load(id)` asks for it. */
export function agreementCard () {
  const body = h('div.measures', {})
  const text = h('p.muted', {}, 'Shown once you have corrected something.')
  const element = h('section.card.agreement', { 'aria-label': 'Agreement with the detector' },
    h('header.card-head', {}, h('h2', {}, 'Agreement with the detector')), body, text)
  return {
    element,
    async load (id) {
      try {
        const agreement = await get(clipPath(id, '/agreement'))
        fill(body, MEASURES.map(([key, name, what]) =>
          h('div.measure', { title: what }, h('b', {}, score(agreement[key])), h('span', {}, name), h('small', {}, what))))
        text.textContent = `Against ${length(agreement.reference_seconds)} in your corrections.`
      } catch (error) {
        text.textContent = error.message
      }
    }
  }
}

const FORMATS = {
  csv: ['CSV', 'tables'], json: ['JSON', 'programs'], audacity: ['Audacity', 'labels'], vtt: ['WebVTT', 'captions'],
  srt: ['SubRip', 'captions'], rttm: ['RTTM', 'diarization'], textgrid: ['TextGrid', 'Praat'], eaf: ['EAF', 'ELAN'],
  png: ['PNG', 'figure'], raven: ['Raven', 'selections'], boris: ['BORIS', 'behaviour'], 'label-studio': ['Label Studio', 'tasks'],
  childproject: ['ChildProject', 'segments'], chat: ['CHAT', 'CLAN'], audioset: ['AudioSet', 'events'], dcase: ['DCASE', 'events'],
  parquet: ['Parquet', 'timeline'], quality: ['Quality', 'each minute']
}

/** Links to every format, of the corrected events or of the detector's; and the annotated video. */
export function downloadsCard (session, id, clip, corrections) {
  let which = 'corrected'
  const segment = (value, text) => h('button.segment', { type: 'button', 'aria-pressed': String(value === which), data: { value }, onclick: () => choose(value) }, text)
  const choices = h('div.segments', { role: 'group', 'aria-label': 'Which events' }, segment('corrected', 'Corrected'), segment('detector', 'Detector'))
  const links = session.formats.map((format) => {
    const [name, what] = FORMATS[format] || [format, '']
    return h('a.download', { data: { format }, download: true, onclick: flush }, h('b', {}, name), h('small', {}, what))
  })

  function choose (value) {
    which = value
    for (const button of choices.children) button.setAttribute('aria-pressed', String(button.dataset.value === which))
    for (const link of links) link.href = clipPath(id, `/export/${encodeURIComponent(link.dataset.format)}?${query({ which })}`)
  }

  /** A download holds the newest events: what is not yet saved is saved first. */
  async function flush (e) {
    if (which !== 'corrected' || !corrections.dirty) return
    e.preventDefault()
    const link = e.currentTarget
    await corrections.save()
    if (!corrections.dirty) link.click()
  }

  choose(which)
  return h('section.card.downloads', { 'aria-label': 'Downloads' },
    h('header.card-head', {}, h('h2', {}, 'Downloads'), choices),
    h('div.formats', {}, links), clip.has_video ? videoJob(id) : null)
}

function videoJob (id) {
  const place = h('div.video-job', { role: 'status' })
  const button = h('button', { type: 'button', onclick: make }, icon('film'), 'Make annotated video')
  fill(place, button)
  async function make () {
    const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of the video' })
    fill(place, h('span.muted', {}, 'Drawing the video'), bar)
    try {
      const { job_id: job } = await post(clipPath(id, '/video'))
      await followJob(job, (state) => { bar.value = state.progress || 0 })
      fill(place, h('a.button', { href: clipPath(id, '/video.mp4'), download: true }, icon('down'), 'Annotated video'))
    } catch (error) {
      fill(place, h('p.warning', {}, icon('warn'), h('span', {}, error.message)), button)
    }
  }
  return place
}
