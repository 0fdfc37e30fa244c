// The events as a list, with the form for the selected one.

import { setLabelColour } from './colours.js'
import { fill, h, icon, iconButton } from './dom.js'
import { clock, decibels, score, words } from './format.js'

const STEP_S = 0.01

/** Make the list; `show(corrections, labels)` brings it up to date. */
export function eventList (actions) {
  const list = h('ol.events', { 'aria-label': 'Events' })
  const empty = h('p.empty-list', { hidden: true })
  const filter = h('select', { 'aria-label': 'Show', onchange: () => refresh() },
    [['all', 'All'], ['unchecked', 'Not checked'], ['checked', 'Checked'], ['person', 'Added by hand']].map(([value, text]) => h('option', { value }, text)))
  const rows = new Map()
  let state = null

  const wanted = (event) => ({
    all: true, unchecked: !event.checked, checked: event.checked, person: event.origin === 'person'
  })[filter.value]

  function row (event, labels, record) {
    const bar = h('span.confidence', { 'aria-hidden': 'true' }, h('span'))
    bar.firstChild.style.width = `${Math.round(100 * (event.confidence ?? 0))}%`
    const chip = h('span.label-chip', {}, words(event.label))
    setLabelColour(chip, event.label, labels)
    const level = record && Number.isFinite(record.intensity_db) ? `, ${decibels(record.intensity_db)}FS` : ''
    const other = record?.other_tag ? `, ${words(record.other_tag)} heard` : ''
    return h('li', {}, h('button.event', {
      type: 'button',
      data: { id: event.id, onset: event.onset_s, offset: event.offset_s, label: event.label },
      title: `${clock(event.onset_s, 2)} to ${clock(event.offset_s, 2)}${level}${other}`,
      onclick: () => { actions.select(event.id); actions.play(event) }
    },
    h('span.at', {}, clock(event.onset_s, 2)),
    h('span.long', {}, `${(event.offset_s - event.onset_s).toFixed(2)} s`),
    chip,
    event.origin === 'person'
      ? h('span.by-hand', {}, 'by hand')
      : h('span.sure', {}, bar, h('span.visually-hidden', {}, 'confidence '), score(event.confidence)),
    h('span.tick', {}, event.checked ? [icon('check'), h('span.visually-hidden', {}, 'checked')] : null)))
  }

  function refresh () {
    if (!state) return
    const { events, labels, selected, records } = state
    const shown = events.filter(wanted)
    const items = shown.map((event) => {
      const kept = rows.get(event.id)
      if (kept?.event === event && kept.labels === labels) return kept.item
      const item = row(event, labels, records.get(event.id))
      rows.set(event.id, { event, labels, item })
      return item
    })
    // Rows that did not change stay in the document, and with them the keyboard's place.
    if (items.length !== list.children.length || items.some((item, n) => list.children[n] !== item)) {
      const held = list.contains(document.activeElement) ? document.activeElement.dataset.id : null
      list.replaceChildren(...items)
      if (held) list.querySelector(`[data-id="${CSS.escape(held)}"]`)?.focus()
    }
    for (const button of list.querySelectorAll('[aria-current]')) button.removeAttribute('aria-current')
    if (selected !== null) {
      const button = list.querySelector(`[data-id="${CSS.escape(selected)}"]`)
      button?.setAttribute('aria-current', 'true')
      if (button) reveal(button)
    }
    empty.hidden = shown.length > 0
    empty.textContent = events.length ? 'No event matches.' : actions.emptyText()
  }

  /** Scroll the list alone, never the page. */
  function reveal (button) {
    const [box, seen] = [button.getBoundingClientRect(), list.getBoundingClientRect()]
    if (box.top < seen.top) list.scrollTop -= seen.top - box.top + 4
    if (box.bottom > seen.bottom) list.scrollTop += box.bottom - seen.bottom + 4
  }

  list.addEventListener('keydown', (e) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key]
    if (!step) return
    const buttons = [...list.querySelectorAll('button.event')]
    const next = buttons[buttons.indexOf(document.activeElement) + step]
    if (!next) return
    e.preventDefault()
    e.stopPropagation()
    next.focus()
    actions.select(next.dataset.id)
  })

  return { list, empty, filter, show (next) { state = next; refresh() } }
}

/** Make the form of the selected event; `show(event, labels)` fills it. */
export function eventForm (actions) {
  const number = (name, field) => {
    const input = h('input', {
      type: 'number', step: STEP_S, min: 0, 'aria-label': `${name} in seconds`,
      onchange: () => { if (Number.isFinite(input.valueAsNumber)) actions.setTime(field, input.valueAsNumber) }
    })
    return input
  }
  const [start, end] = [number('Start', 'onset_s'), number('End', 'offset_s')]
  const labels = h('div.label-buttons', { role: 'group', 'aria-label': 'Label' })
  const check = h('button.small.check', { type: 'button', onclick: () => actions.check(), title: 'Mark checked (C)' })
  const form = h('section.event-form', { 'aria-label': 'Selected event' },
    h('div.row', {}, h('label.field', {}, h('span', {}, 'Start'), start), h('label.field', {}, h('span', {}, 'End'), end),
      h('div.row.end', {}, check, iconButton('trash', 'Delete', () => actions.remove(), 'Delete'))),
    labels)
  const hint = h('p.hint', {}, 'Select an event to hear it, or drag in the row of events to add one.')
  const element = h('div.event-form-place', {}, hint, form)

  return {
    element,
    show (event, set) {
      form.hidden = !event
      hint.hidden = Boolean(event)
      if (!event) return
      if (document.activeElement !== start) start.value = event.onset_s.toFixed(2)
      if (document.activeElement !== end) end.value = event.offset_s.toFixed(2)
      fill(check, icon('check'), event.checked ? 'Checked' : 'Check')
      check.setAttribute('aria-pressed', String(Boolean(event.checked)))
      const all = set.includes(event.label) ? set : [...set, event.label]
      const names = all.join('\n')
      if (labels.dataset.names !== names) {
        labels.dataset.names = names
        fill(labels, all.map((label, n) => h('button.label-button', { type: 'button', onclick: () => actions.label(label), data: { label } },
          n < 9 ? h('kbd', {}, String(n + 1)) : null, words(label))), h('button.ghost.small', { type: 'button', onclick: () => actions.editLabels() }, icon('tag'), 'Labels'))
      }
      for (const button of labels.querySelectorAll('.label-button')) {
        setLabelColour(button, button.dataset.label, set)
        button.setAttribute('aria-pressed', String(button.dataset.label === event.label))
      }
    }
  }
}
