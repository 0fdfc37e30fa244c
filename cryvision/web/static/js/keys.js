// Keys of the clip view. The list for people is in dialogs.js.

import { settings } from './settings.js'

const NUDGE_S = 0.02

/** Where keys belong to a field that is being filled in. */
function typing (target) {
  return target.closest?.('input:not([type=checkbox], [type=radio]), textarea, select, dialog')
}

/** Let a clip view be used by keyboard until the signal ends it. */
export function handleKeys (view, signal) {
  addEventListener('keydown', (e) => {
    if (e.defaultPrevented || typing(e.target) || document.querySelector('dialog[open]')) return
    if (act(view, e)) e.preventDefault()
  }, { signal })
}

function act (view, e) {
  if (e.ctrlKey || e.metaKey) return command(view, e)
  if (e.altKey) return false
  const button = e.target.closest?.('button, a, summary')
  // A button that has the focus keeps its own keys.
  if (button && (e.key === ' ' || e.key === 'Enter') && !button.matches('button.event')) return false
  if (e.key === 'Enter' && button) return false
  return motion(view, e) || (settings.singleKeys && letter(view, e))
}

function command (view, { key, shiftKey }) {
  const { corrections } = view
  const name = key.toLowerCase()
  if (name === 'z' && !shiftKey) corrections.undo()
  else if ((name === 'z' && shiftKey) || name === 'y') corrections.redo()
  else if (name === 's') corrections.save()
  else return false
  return true
}

function motion (view, { key, shiftKey }) {
  const { player, timeline, corrections } = view
  const to = (time) => {
    player.seek(time)
    timeline.reveal(Math.min(Math.max(time, 0), view.duration))
  }
  const acts = {
    ' ': () => player.toggle(),
    ArrowLeft: () => to(player.time - (shiftKey ? 0.1 : 1)),
    ArrowRight: () => to(player.time + (shiftKey ? 0.1 : 1)),
    Home: () => to(0),
    End: () => to(view.duration),
    PageUp: () => timeline.scroll(-0.9 * timeline.span),
    PageDown: () => timeline.scroll(0.9 * timeline.span),
    Enter: () => corrections.current && view.playEvent(corrections.current),
    Delete: () => view.remove(),
    Backspace: () => view.remove(),
    Escape: () => view.corrections.select(null)
  }
  if (!acts[key]) return false
  acts[key]()
  return true
}

function letter (view, { key, code, shiftKey }) {
  const { player, timeline, corrections } = view
  const event = corrections.current
  const nudge = (by) => event && view.setTime(shiftKey ? 'offset_s' : 'onset_s', (shiftKey ? event.offset_s : event.onset_s) + by)
  const acts = {
    '+': () => timeline.zoom(1.6),
    '=': () => timeline.zoom(1.6),
    '-': () => timeline.zoom(1 / 1.6),
    0: () => timeline.fit(),
    z: () => view.zoomToSelected(),
    l: () => player.loop(),
    n: () => view.step(1),
    p: () => view.step(-1),
    u: () => view.nextUncertain(),
    a: () => view.addAtPlayhead(),
    s: () => view.setTime('onset_s', player.time),
    e: () => view.setTime('offset_s', player.time),
    c: () => view.check()
  }
  const name = key.toLowerCase()
  if (acts[name]) acts[name]()
  else if (code === 'Comma') nudge(-NUDGE_S)
  else if (code === 'Period') nudge(NUDGE_S)
  else if (/^[1-9]$/.test(key)) view.label(view.labels[Number(key) - 1])
  else return false
  return true
}
