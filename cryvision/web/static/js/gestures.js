// What pointer, wheel and pinch do to a timeline.

const EDGE = 7 // pixels to either side of an edge that count as the edge
const FINGER = 16
const SLOP = 4 // pixels a pointer may move and still be a click
const WHEEL_ZOOM = 0.0022
const SHORTEST_EVENT_S = 0.02

/** Find what is under a point: an edge or the body of an event, the overview, the ruler, a lane. */
function hit (timeline, x, y, reach) {
  const lane = timeline.laneAt(y)
  if (lane.kind === 'overview' || lane.kind === 'ruler') return { part: lane.kind }
  const inRow = lane.kind === 'events'
  const chosen = timeline.events.find((event) => event.id === timeline.selected)
  const edge = (event) => {
    const [from, to] = [timeline.x(event.onset_s), timeline.x(event.offset_s)]
    // Of a narrow event the middle third stays its body, lest it can no longer be moved.
    const inside = Math.min(reach, (to - from) / 3)
    if (x >= from - reach && x <= from + inside) return 'onset'
    if (x <= to + reach && x >= to - inside) return 'offset'
    return null
  }
  if (chosen && timeline.x(chosen.offset_s) - timeline.x(chosen.onset_s) > 3) {
    const part = edge(chosen)
    if (part) return { part, event: chosen }
  }
  const time = timeline.time(x)
  const slack = 2 * timeline.secondsPerPixel
  const under = timeline.events.filter((event) => time >= event.onset_s - slack && time <= event.offset_s + slack)
  const event = under.length > 1 && inRow ? inItsRow(timeline, under, lane, y) : under.find((one) => one.id === timeline.selected) ?? under[0]
  if (event) {
    const wide = timeline.x(event.offset_s) - timeline.x(event.onset_s) > 14
    const part = inRow && wide && reach < FINGER ? edge(event) : null
    return { part: part ?? 'body', event, inRow }
  }
  const ghost = inRow && timeline.rejected.find((one) => time >= one.onset_s - slack && time <= one.offset_s + slack)
  if (ghost) return { part: 'rejected', event: ghost, inRow }
  return { part: 'empty', inRow }
}

function inItsRow (timeline, events, lane, y) {
  return events.find((event) => {
    const [row, count] = timeline.rows.get(event.id) ?? [0, 1]
    const tall = (lane.height - 8) / count
    const top = lane.y + 4 + row * tall
    return y >= top && y < top + tall
  }) ?? events[0]
}

const CURSORS = { onset: 'ew-resize', offset: 'ew-resize', overview: 'grab', ruler: 'pointer', rejected: 'pointer' }

function cursor ({ part, inRow }, adds) {
  if (part === 'body') return inRow ? 'move' : 'pointer'
  if (part === 'empty') return inRow || adds ? 'crosshair' : 'grab'
  return CURSORS[part]
}

/** Let a timeline be used by hand; returns what ends that. */
export function attachGestures (timeline) {
  const { host } = timeline
  const pointers = new Map()
  let drag = null
  let pinch = null
  const ending = new AbortController()
  const on = (name, listener, options = {}) => host.addEventListener(name, listener, { signal: ending.signal, ...options })
  const place = (e) => {
    const box = host.getBoundingClientRect()
    return [e.clientX - box.left, e.clientY - box.top]
  }
  const reachOf = (e) => (e.pointerType === 'touch' ? FINGER : EDGE)

  on('wheel', (e) => {
    e.preventDefault()
    const unit = e.deltaMode === 1 ? 18 : e.deltaMode === 2 ? 400 : 1
    const sideways = e.shiftKey ? (e.deltaX || e.deltaY) : e.deltaX
    if (!e.ctrlKey && (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY))) {
      return timeline.scroll(sideways * unit * timeline.secondsPerPixel)
    }
    // A pinch on a touchpad comes as a wheel with Ctrl, in smaller steps.
    const strength = e.ctrlKey ? 4 * WHEEL_ZOOM : WHEEL_ZOOM
    const [x] = place(e)
    timeline.zoom(Math.exp(-e.deltaY * unit * strength), timeline.time(Math.max(x, timeline.left)))
  }, { passive: false })

  on('pointerdown', (e) => {
    if (e.button !== 0) return
    const [x, y] = place(e)
    pointers.set(e.pointerId, [x, y])
    host.setPointerCapture(e.pointerId)
    if (pointers.size === 2) {
      drag?.cancel?.()
      drag = null
      pinch = pinchState()
      return
    }
    if (x < timeline.left) return
    drag = begin(hit(timeline, x, y, reachOf(e)), x, y, e)
  })

  on('pointermove', (e) => {
    const [x, y] = place(e)
    if (pinch && pointers.has(e.pointerId)) {
      pointers.set(e.pointerId, [x, y])
      return movePinch()
    }
    if (!drag) return hover(x, y, e)
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < SLOP) return
    drag.moved = true
    drag.move?.(x, y)
  })

  const release = (e, dropped) => {
    pointers.delete(e.pointerId)
    if (pinch) {
      if (pointers.size < 2) pinch = null
      return
    }
    if (!drag) return
    const ended = drag
    drag = null
    if (!dropped) return ended.cancel?.()
    if (ended.moved) ended.end?.()
    else ended.click?.()
  }
  on('pointerup', (e) => release(e, true))
  on('pointercancel', (e) => release(e, false))
  on('pointerleave', () => { if (timeline.hovered !== null) { timeline.hovered = null; timeline.redraw() } })
  on('dblclick', (e) => {
    const [x, y] = place(e)
    const found = hit(timeline, x, y, reachOf(e))
    if (found.event) timeline.show(found.event.onset_s - 1, found.event.offset_s + 1)
  })

  function hover (x, y, e) {
    const found = x < timeline.left ? { part: 'none' } : hit(timeline, x, y, reachOf(e))
    host.style.cursor = cursor(found, e.shiftKey) ?? 'default'
    const id = found.event?.id ?? null
    host.title = found.part === 'rejected' ? 'A candidate that was rejected: click to hear it' : ''
    if (id !== timeline.hovered) { timeline.hovered = id; timeline.redraw() }
  }

  function begin (found, x, y, e) {
    const { part, event } = found
    const start = timeline.time(x)
    const time = (at) => Math.min(Math.max(timeline.time(at), 0), timeline.duration)
    const base = { x, y, moved: false }
    if (part === 'overview') return overview(base, x)
    if (part === 'ruler') return { ...base, move: (at) => timeline.actions.seek(time(at)), click: () => timeline.actions.seek(start) }
    if (part === 'rejected') return { ...base, click: () => timeline.actions.playRejected(event) }
    const choose = () => { timeline.actions.select(event.id); timeline.actions.play(event) }
    if (part === 'onset' || part === 'offset') return edge(base, part, event, start, choose)
    if (part === 'body' && found.inRow && (e.pointerType !== 'touch' || event.id === timeline.selected)) {
      return body(base, event, start, choose)
    }
    if ((part === 'empty' && found.inRow && e.pointerType !== 'touch') || e.shiftKey) return adding(base, start, time)
    const { t0 } = timeline
    return {
      ...base,
      move: (at) => { host.style.cursor = 'grabbing'; timeline.scroll(t0 - timeline.t0 + (x - at) * timeline.secondsPerPixel) },
      click: event ? choose : () => timeline.actions.seek(Math.min(Math.max(start, 0), timeline.duration))
    }
  }

  function overview (base, x) {
    const at = (place) => (place - timeline.left) * timeline.duration / (timeline.width - timeline.left)
    const centre = (place) => timeline.show(at(place) - timeline.span / 2, at(place) + timeline.span / 2)
    const inside = at(x) >= timeline.t0 && at(x) <= timeline.t1
    const offset = inside ? at(x) - (timeline.t0 + timeline.t1) / 2 : 0
    const shift = offset * (timeline.width - timeline.left) / timeline.duration
    return {
      ...base,
      move: (place) => centre(place - shift),
      click: () => { timeline.actions.seek(Math.min(Math.max(at(x), 0), timeline.duration)); if (!inside) centre(x) }
    }
  }

  function edge (base, part, event, start, choose) {
    const held = part === 'onset' ? event.onset_s : event.offset_s
    const times = (at) => {
      const moved = held + timeline.time(at) - start
      return part === 'onset'
        ? { onset_s: Math.min(Math.max(0, moved), event.offset_s - SHORTEST_EVENT_S) }
        : { offset_s: Math.max(Math.min(timeline.duration, moved), event.onset_s + SHORTEST_EVENT_S) }
    }
    return changing(base, event, times, choose)
  }

  function body (base, event, start, choose) {
    const long = event.offset_s - event.onset_s
    const times = (at) => {
      const onset = Math.min(Math.max(0, event.onset_s + timeline.time(at) - start), timeline.duration - long)
      return { onset_s: onset, offset_s: onset + long }
    }
    return changing(base, event, times, choose)
  }

  function changing (base, event, times, choose) {
    let last = null
    return {
      ...base,
      move: (at) => { last = times(at); timeline.actions.change(event.id, last, false) },
      end: () => timeline.actions.change(event.id, last, true),
      cancel: () => timeline.actions.change(event.id, null, true),
      click: choose
    }
  }

  function adding (base, start, time) {
    const ordered = (at) => [Math.min(start, time(at)), Math.max(start, time(at))]
    const clear = () => { timeline.draft = null; timeline.drawOver() }
    return {
      ...base,
      move: (at) => { timeline.draft = ordered(at); timeline.drawOver() },
      end: () => {
        const [onset, offset] = timeline.draft ?? [0, 0]
        clear()
        if (offset - onset >= SHORTEST_EVENT_S) timeline.actions.add(onset, offset)
      },
      cancel: clear,
      click: () => timeline.actions.seek(start)
    }
  }

  function pinchState () {
    const [[ax], [bx]] = [...pointers.values()]
    const [near, far] = [Math.min(ax, bx), Math.max(ax, bx)]
    return { from: timeline.time(near), to: timeline.time(Math.max(far, near + 8)) }
  }

  /** Keep the two times under the two fingers. */
  function movePinch () {
    const [[ax], [bx]] = [...pointers.values()]
    const [near, far] = [Math.min(ax, bx), Math.max(ax, bx, Math.min(ax, bx) + 8)]
    const perPixel = (pinch.to - pinch.from) / (far - near)
    const start = pinch.from - (near - timeline.left) * perPixel
    timeline.show(start, start + perPixel * (timeline.width - timeline.left))
  }

  return () => ending.abort()
}
