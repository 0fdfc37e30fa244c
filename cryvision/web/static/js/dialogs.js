// Questions to the person: name, labels, a conflict of two corrections; and the list of keys.

import { h, iconButton } from './dom.js'
import { clock, words } from './format.js'
import { settings } from './settings.js'

/** Show a dialog; resolves with the value of the button that closed it, '' where it was left. */
function ask (title, content, buttons, className = '') {
  return new Promise((resolve) => {
    const id = `dialog-${Math.random().toString(36).slice(2)}`
    const form = h('form', { method: 'dialog' },
      h('header.dialog-head', {}, h('h2', { id }, title),
        iconButton('close', 'Close', () => dialog.close(''))),
      h('div.dialog-body', {}, content),
      h('footer.dialog-foot', {}, buttons.map(([value, text, kind]) =>
        h(`button.${kind || 'plain'}`, { type: 'submit', value }, text))))
    const dialog = h(`dialog.dialog${className}`, { 'aria-labelledby': id }, form)
    dialog.addEventListener('click', (e) => { if (e.target === dialog) dialog.close('') })
    dialog.addEventListener('close', () => { dialog.remove(); resolve(dialog.returnValue) })
    document.body.append(dialog)
    dialog.showModal()
  })
}

/** Ask once who corrects. Resolves with the name, or '' where the person would not say. */
export async function askWho () {
  const input = h('input', { type: 'text', maxLength: 60, autocomplete: 'name', value: settings.who, required: true, autofocus: true, id: 'who-name' })
  const answer = await ask('Who corrects?', [
    h('p', {}, 'Your name or initials are kept beside each change in the correction file. You are asked once.'),
    h('label.field', { for: 'who-name' }, 'Name', input)
  ], [['ok', 'Start correcting', 'primary']], '.narrow')
  if (answer === 'ok' && input.value.trim()) settings.who = input.value.trim()
  return settings.who
}

/** Let the person write the own label set. Resolves with the labels, or null. */
export async function askLabels (labels) {
  const area = h('textarea', { rows: 9, id: 'label-set', spellcheck: false, autofocus: true, value: labels.join('\n') })
  const answer = await ask('Labels', [
    h('p', {}, 'One label a line. The first nine have the keys 1 to 9. The first is the label of new events.'),
    h('label.field', { for: 'label-set' }, 'Label set', area)
  ], [['', 'Cancel'], ['ok', 'Use these labels', 'primary']], '.narrow')
  if (answer !== 'ok') return null
  const lines = area.value.split('\n').map((line) => line.trim().slice(0, 60)).filter(Boolean)
  return [...new Set(lines)]
}

function described (event) {
  if (!event) return 'deleted'
  return `${words(event.label)}, ${clock(event.onset_s, 2)} to ${clock(event.offset_s, 2)}`
}

/** Let the person decide where two people changed the same events. Resolves with ids taken from the other. */
export async function askConflicts (conflicts, other) {
  const name = other || 'Somebody else'
  const rows = conflicts.map((conflict, n) => h('fieldset.conflict', {},
    h('legend', {}, `Event at ${clock((conflict.mine || conflict.theirs).onset_s, 1)}`),
    [['mine', 'Yours', conflict.mine], ['theirs', name, conflict.theirs]].map(([side, owner, event]) =>
      h('label.choice', {},
        h('input', { type: 'radio', name: `conflict-${n}`, value: side, checked: side === 'mine' }),
        h('span', {}, h('b', {}, owner), ': ', described(event))))))
  const form = h('div.conflicts', {}, rows)
  await ask('Changed by two people', [
    h('p', {}, `${name} saved this clip while you worked on it. What only one of you changed is kept from both. Choose for the rest:`),
    form
  ], [['ok', 'Save this', 'primary']])
  return conflicts
    .filter((_, n) => form.querySelector(`[name=conflict-${n}]:checked`)?.value === 'theirs')
    .map((conflict) => conflict.id)
}

/** Ask before something that cannot be taken back. */
export async function confirmed (title, text, yes) {
  return await ask(title, h('p', {}, text), [['', 'Cancel'], ['ok', yes, 'primary']], '.narrow') === 'ok'
}

/** Ask how to train. Resolves with the options, or null. */
export async function askTraining () {
  const labels = h('input', { type: 'text', id: 'train-labels', maxLength: 400, placeholder: 'fuss, scream' })
  const pattern = h('input', { type: 'text', id: 'train-subjects', maxLength: 200, placeholder: '^(baby\\d+)', spellcheck: false })
  const answer = await ask('Train a detector?', [
    h('p', {}, 'It learns from all corrected clips, and is measured on some that are kept apart. This can take a long time; the page works meanwhile.'),
    h('label.field', { for: 'train-labels' }, 'Labels that mean crying, besides cry', labels),
    h('label.field', { for: 'train-subjects' }, 'Subject in the names of clips: a regular expression whose first group is the subject. Clips that it does not fit are left out.', pattern)
  ], [['', 'Cancel'], ['ok', 'Train', 'primary']])
  if (answer !== 'ok') return null
  return {
    cry_labels: labels.value.split(',').map((label) => label.trim()).filter(Boolean),
    subject_pattern: pattern.value.trim() || null
  }
}

const KEYS = [
  ['Play', [
    ['Space', 'play or pause'], ['Enter', 'play the selected event'], ['L', 'repeat the selected event'],
    ['← →', 'move by 1 s; with Shift by 0.1 s'], ['Home End', 'start, end']
  ]],
  ['See', [
    ['+ −', 'zoom in, out'], ['0', 'whole clip'], ['Z', 'zoom to the selected event'],
    ['wheel, pinch', 'zoom'], ['Shift wheel, drag', 'scroll'], ['Page ↑ ↓', 'scroll by a screen']
  ]],
  ['Events', [
    ['N P', 'next, previous event'], ['U', 'next uncertain event'], ['A', 'add an event at the play head'],
    ['S E', 'set start, end to the play head'], [', .', 'move the start by 20 ms; with Shift the end'],
    ['1 to 9', 'set the label'], ['C', 'mark checked'], ['Delete', 'delete the event'],
    ['drag an edge', 'change start or end'], ['drag in the row of events', 'add an event, or move one'],
    ['Ctrl Z', 'undo'], ['Ctrl Shift Z', 'redo'], ['Esc', 'select nothing']
  ]]
]

/** Show all keys. */
export function showHelp () {
  if (document.querySelector('dialog[open]')) return
  const single = h('input', { type: 'checkbox', checked: settings.singleKeys, onchange: () => { settings.singleKeys = single.checked } })
  ask('Keyboard and mouse', [
    h('div.keys', {}, KEYS.map(([heading, rows]) => h('section', {}, h('h3', {}, heading),
      h('dl', {}, rows.map(([keys, what]) => h('div', {}, h('dt', {}, h('kbd', {}, keys)), h('dd', {}, what))))))),
    h('label.choice', {}, single, h('span', {}, 'Single keys work (switch off if you dictate or use other tools with them)'))
  ], [['', 'Close', 'primary']], '.wide')
}

