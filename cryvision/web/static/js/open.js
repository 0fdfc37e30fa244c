// First view: drop or choose a file, or pick a clip of the folder.

import { clipPath, followJob, get, post, remove, upload } from './api.js'
import { confirmed } from './dialogs.js'
import { append, fill, h, icon, toast } from './dom.js'
import { clipTable } from './table.js'
import { heatmapCard } from './heatmap.js'
import { trainingCard } from './training.js'

const REFRESH_MS = 1500

const underWay = (clip) => ['waiting', 'scoring'].includes(clip.status)

/** Show the view until the signal ends it; returns what cleans up then. */
export async function openView (main, session, signal) {
  const table = clipTable({
    onScore: (clip) => asked(() => post(clipPath(clip.clip_id, '/score')), refresh),
    onDelete: async (clip) => {
      const sure = await confirmed('Delete this upload?', `${clip.name} and its corrections are deleted from the server. Your own file stays.`, 'Delete')
      if (sure) await asked(() => remove(clipPath(clip.clip_id)), refresh)
    }
  })
  const tableCard = h('section.card.clips', { 'aria-label': session.has_folder ? 'Clips of the folder' : 'Uploaded clips', hidden: true })
  const side = h('div.side', {})
  const page = h('div.open', {},
    h('div.intro', {}, h('h1', {}, 'Find the crying in a recording'),
      h('p', {}, 'Your sound or video stays on this computer, and what you upload is deleted when the server stops.')),
    dropZone(session), tableCard, side)
  main.append(page)

  const progress = folderProgress(refresh)
  append(tableCard, [
    h('header.card-head', {}, h('div', {}, h('h2', {}, session.folder_name || 'Your clips'), table.summary),
      session.has_folder && progress.element),
    table.element])

  const heat = session.has_folder ? heatmapCard() : null
  const training = session.has_folder ? trainingCard(signal) : null
  append(side, [heat?.element, training?.element])

  let timer = 0
  async function refresh () {
    clearTimeout(timer)
    if (signal.aborted) return
    try {
      const clips = await get('/api/clips', signal)
      table.show(clips)
      tableCard.hidden = clips.length === 0 && !session.has_folder
      page.classList.toggle('with-clips', !tableCard.hidden)
      training?.show(clips)
      heat?.refresh(clips)
      progress.show(clips)
      timer = setTimeout(refresh, clips.some(underWay) ? REFRESH_MS : 4 * REFRESH_MS)
    } catch (error) {
      if (error.name === 'AbortError') return
      table.fault(error.message)
      timer = setTimeout(refresh, 4 * REFRESH_MS)
    }
  }
  await refresh()
  document.title = session.folder_name ? `${session.folder_name} – cryvision` : 'cryvision'
  return () => clearTimeout(timer)
}

/** Ask the server for something, say why where it refuses, and show what there is now. */
async function asked (request, refresh) {
  try {
    await request()
  } catch (error) {
    toast(error.message, 'error')
  }
  await refresh()
}

/** The place where files are dropped; a refusal is shown in it. */
function dropZone (session) {
  const input = h('input.visually-hidden', { type: 'file', id: 'file', accept: 'audio/*,video/*,.mkv,.flac,.opus,.m4a,.wav,.caf,.amr,.3gp', onchange: () => take(input.files) })
  const status = h('div.drop-status', { role: 'status' })
  const { max_upload_mb: megabytes, max_minutes: minutes } = session
  const longest = minutes >= 120 ? `${+(minutes / 60).toFixed(1)} hours` : `${minutes} minutes`
  const zone = h('section.card.drop', { 'aria-label': 'Open a file' },
    icon('up'), h('div.drop-text', {},
      h('p', {}, h('span.hint-drop', {}, h('b', {}, 'Drop a recording here'), ' or '), input, h('label.button.primary', { for: 'file' }, 'Choose a file')),
      h('p.muted', {}, `Sound or video, up to ${megabytes} MB, ${longest} at most`)),
    status)
  let depth = 0
  const over = (on) => zone.classList.toggle('over', on)
  zone.addEventListener('dragenter', (e) => { e.preventDefault(); depth++; over(true) })
  zone.addEventListener('dragleave', () => { if (--depth <= 0) { depth = 0; over(false) } })
  zone.addEventListener('dragover', (e) => e.preventDefault())
  zone.addEventListener('drop', (e) => { e.preventDefault(); depth = 0; over(false); take(e.dataTransfer.files) })

  let cancel = null
  async function take (files) {
    const file = files[0]
    if (!file) return
    cancel?.abort()
    const stopping = cancel = new AbortController()
    const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Progress' })
    const text = h('span', {}, 'Uploading')
    fill(status, h('div.uploading', {},
      h('div.row', {}, h('b.file-name', { title: file.name }, file.name), text,
        h('button.ghost', { type: 'button', onclick: () => { stopping.abort(); status.replaceChildren() } }, 'Cancel')), bar))
    try {
      const { clip_id: id, job_id: job } = await upload(file, (part) => { bar.value = part * 0.3 }, stopping.signal)
      text.textContent = 'Waiting'
      bar.value = 0.3
      await followJob(job, (state) => {
        text.textContent = state.message || (state.status === 'waiting' ? 'Waiting' : 'Listening')
        bar.value = 0.3 + 0.7 * (state.progress || 0)
      }, stopping.signal)
      location.hash = `#clip/${encodeURIComponent(id)}`
    } catch (error) {
      if (error.name === 'AbortError') return
      fill(status, h('div.refusal', { role: 'alert' }, icon('warn'),
        h('div', {}, h('b', {}, 'This file was refused'), h('p', {}, error.message), h('p.muted.file-name', {}, file.name))))
    } finally {
      input.value = ''
    }
  }
  return zone
}

/** The button that scores the whole folder, and how far that is; also after the page was reloaded. */
function folderProgress (refresh) {
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of scoring' })
  const text = h('span.muted', {})
  const stop = h('button.ghost.small', { type: 'button', hidden: true, onclick: () => asked(() => remove(`/api/jobs/${job}`), refresh) }, 'Stop')
  const running = h('div.folder-progress', { hidden: true, role: 'status' }, bar, text, stop)
  const button = h('button.primary', { type: 'button', onclick: () => asked(async () => { job = (await post('/api/folder/score')).job_id }, refresh) }, 'Score all')
  let job = null
  get('/api/folder/score').then((answer) => { job ??= answer.job_id }, () => {}) // it was begun before
  return {
    element: h('div.folder-actions', {}, running, button),
    show (clips) {
      const own = clips.filter((clip) => !clip.uploaded)
      const moving = own.filter(underWay).length
      running.hidden = !moving
      stop.hidden = !moving || !job
      bar.value = own.length ? 1 - moving / own.length : 1
      text.textContent = `${own.length - moving} of ${own.length}`
      button.disabled = moving > 0 || !own.some((clip) => ['not scored', 'failed'].includes(clip.status))
    }
  }
}
