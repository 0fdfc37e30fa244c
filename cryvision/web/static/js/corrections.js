// The events of a clip as a person corrects them: edits, undo and redo, and how they are saved.

import { clipPath, Offline, put, Refusal } from './api.js'
import { merged } from './merge.js'
import { drafts } from './settings.js'

const SAVE_AFTER_MS = 350
const RETRY_MS = [1000, 2000, 5000, 10000, 30000]
const REPLACED = 'the file was replaced. Load this page again.'
const MOST_UNDO = 500

const ordered = (events) => [...events].sort((a, b) => a.onset_s - b.onset_s || a.offset_s - b.offset_s)

export class Corrections extends EventTarget {
  /** @param {string} clip @param {object} state answer of the server @param {object} asked who(), labels(), onConflict(conflicts, other), onUnscored() */
  constructor (clip, state, { who, labels, onConflict, onUnscored }) {
    super()
    Object.assign(this, { clip, who, labels, onConflict, onUnscored })
    this.accept(state)
    this.events = this.saved
    this.past = []
    this.future = []
    this.selected = null
    this.before = null // events before a drag that is not yet done
    this.status = { kind: this.version ? 'saved' : 'untouched', at: state.saved_at }
    this.tries = 0
    this.recover()
  }

  accept (state) {
    this.version = state.version
    this.digest = state.digest
    this.saved = ordered(state.events)
    this.savedAt = state.saved_at
    this.savedBy = state.who
  }

  // Edits

  get (id) { return this.events.find((event) => event.id === id) }
  get current () { return this.get(this.selected) }

  select (id) {
    if (this.selected === id) return
    this.selected = id
    this.dispatchEvent(new Event('select'))
  }

  /** Put other events in place of the present ones, as one step that can be undone. */
  edit (events) {
    this.past.push(this.before ?? this.events)
    if (this.past.length > MOST_UNDO) this.past.shift()
    this.before = null
    this.future = []
    this.set(events)
    this.changed()
  }

  set (events) {
    this.events = ordered(events)
    if (this.selected !== null && !this.get(this.selected)) this.selected = null
    this.dispatchEvent(new Event('change'))
  }

  /** Change fields of an event. While a drag goes on (`done` false) nothing is kept yet. */
  change (id, fields, done = true) {
    if (fields === null) { // the drag was called off
      if (this.before) this.set(this.before)
      this.before = null
      return
    }
    const was = this.get(id)
    if (!was) return
    const next = { ...was, ...rounded(fields) }
    // A person who moves or names an event has looked at it.
    if (!('checked' in fields)) next.checked = true
    const events = this.events.map((event) => (event.id === id ? next : event))
    if (done) return this.edit(events)
    this.before ??= this.events
    this.set(events)
  }

  add (onset, offset, label, fields = {}) {
    const event = { id: newId(), ...rounded({ onset_s: onset, offset_s: offset }), label, origin: 'person', checked: true, confidence: null, ...fields }
    this.edit([...this.events, event])
    this.select(event.id)
    return event
  }

  remove (id) {
    const at = this.events.findIndex((event) => event.id === id)
    if (at < 0) return
    const rest = this.events.filter((event) => event.id !== id)
    this.edit(rest)
    this.select(rest[Math.min(at, rest.length - 1)]?.id ?? null)
  }

  undo () { this.step(this.past, this.future) }
  redo () { this.step(this.future, this.past) }

  step (from, to) {
    if (this.before || !from.length) return
    to.push(this.events)
    this.set(from.pop())
    this.changed()
  }

  // Saving

  get dirty () { return this.events !== this.saved }

  changed () {
    this.keepDraft()
    this.show('saving')
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS)
  }

  keepDraft () {
    this.kept = drafts.set(this.clip, { version: this.version, digest: this.digest, base: this.saved, events: this.events })
  }

  show (kind, message = '') {
    this.status = { kind, message, at: this.savedAt, kept: this.kept }
    this.dispatchEvent(new Event('status'))
  }

  /** Send what is not yet saved; one request at a time. */
  async save () {
    clearTimeout(this.timer)
    if (this.replaced) return this.show('refused', REPLACED)
    if (this.saving || !this.dirty || this.resolving) return this.saving
    const sent = this.events
    this.show('saving')
    this.saving = put(clipPath(this.clip, '/corrections'), this.body(sent))
    try {
      const answer = await this.saving
      this.version = answer.version
      this.digest = answer.digest
      this.savedAt = answer.saved_at
      this.savedBy = this.who()
      this.saved = sent
      this.tries = 0
      this.saving = null
      if (this.dirty) return this.changed()
      drafts.remove(this.clip)
      this.show('saved')
      this.dispatchEvent(new Event('saved'))
    } catch (error) {
      this.saving = null
      await this.failed(error)
    }
  }

  body (events) {
    return { version: this.version, digest: this.digest, events, who: this.who(), labels: this.labels() }
  }

  async failed (error) {
    if (error instanceof Refusal && error.body?.events) return this.resolve(error.body)
    if (error instanceof Refusal && error.status === 409) return this.scoreAgain()
    if (error instanceof Refusal && error.status < 500 && error.status !== 429) {
      return this.show('refused', error.message)
    }
    const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]
    this.show(error instanceof Offline ? 'offline' : 'failed', error.message)
    this.timer = setTimeout(() => this.save(), wait)
  }

  /** The server has no result, as after a start: what it finds anew tells if the file is the same. */
  async scoreAgain () {
    this.resolving = true // nothing is saved meanwhile
    try {
      this.replaced = !await this.onUnscored()
    } catch (error) {
      return error instanceof Refusal ? this.show('refused', error.message) : this.failed(error)
    } finally {
      this.resolving = false
    }
    return this.save()
  }

  /** Somebody else saved first: keep the changes of both, and ask where they touch the same event. */
  async resolve (theirs) {
    this.resolving = true
    try {
      const { conflicts } = merged(this.saved, this.events, theirs.events)
      const givenUp = new Set(conflicts.length ? await this.onConflict(conflicts, theirs.who) : [])
      const { saved } = this
      const combined = (own) => {
        const rest = merged(saved, own, theirs.events).events.filter((event) => !givenUp.has(event.id))
        return ordered([...rest, ...theirs.events.filter((event) => givenUp.has(event.id))])
      }
      // What the other did stays through undo and redo, which take back one's own changes alone.
      this.past = this.past.map(combined)
      this.future = this.future.map(combined)
      this.before &&= combined(this.before)
      this.accept(theirs)
      this.set(combined(this.events))
      this.mergedWith = theirs.who || 'somebody else'
      this.dispatchEvent(new Event('merged'))
    } finally {
      this.resolving = false
    }
    this.changed()
  }

  /** Take up what this browser kept when it could not be saved. */
  recover () {
    const draft = drafts.get(this.clip)
    if (!Array.isArray(draft?.events) || !Array.isArray(draft.base)) return
    if (JSON.stringify(ordered(draft.events)) === JSON.stringify(this.saved)) return drafts.remove(this.clip)
    this.recovered = true
    this.past.push(this.saved)
    // As if it had just been made: whoever saved meanwhile is met when it is sent.
    this.version = draft.version
    this.digest = draft.digest
    this.saved = ordered(draft.base)
    this.events = ordered(draft.events)
    this.status = { kind: 'saving' }
    setTimeout(() => this.changed())
  }

  /** Send at once what is left, as the page goes away. */
  async leave () {
    clearTimeout(this.timer)
    if (this.saving) await this.saving.catch(() => {})
    clearTimeout(this.timer)
    if (this.dirty && !this.resolving && !this.replaced) await put(clipPath(this.clip, '/corrections'), this.body(this.events), true).then(() => drafts.remove(this.clip)).catch(() => {})
  }
}

/** Round times to the millisecond: finer than any edge can be heard. */
function rounded (fields) {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) =>
    [key, key.endsWith('_s') ? Math.round(value * 1000) / 1000 : value]))
}

function newId () {
  return `p-${Array.from(crypto.getRandomValues(new Uint8Array(6)), (b) => b.toString(16).padStart(2, '0')).join('')}`
}
