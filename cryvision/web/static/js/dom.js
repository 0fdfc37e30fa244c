// Elements from names, properties and children. Text always becomes a text node, never HTML.

const SVG = 'http://www.w3.org/2000/svg'

/** Make an element: `h('button.primary', {type: 'button', onclick: f}, 'Save')`. */
export function h (name, properties = {}, ...children) {
  const [tag, ...classes] = name.split('.')
  const element = document.createElement(tag)
  if (classes.length) element.className = classes.join(' ')
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value)
    else if (key === 'data') Object.assign(element.dataset, value)
    else if (key in element && !key.startsWith('aria') && key !== 'list' && key !== 'role') element[key] = value
    else element.setAttribute(key, value === true ? '' : value)
  }
  append(element, children)
  return element
}

export function append (parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) parent.append(child)
  }
  return parent
}

/** Replace all children of an element. */
export function fill (parent, ...children) {
  parent.replaceChildren()
  return append(parent, children)
}

const PATHS = {
  play: 'M7 4.5v15l12-7.5z',
  pause: 'M7 5h3.5v14H7zM13.5 5H17v14h-3.5z',
  previous: 'M18 5v14l-9-7zM6 5h2.4v14H6z',
  next: 'M6 5v14l9-7zM15.6 5H18v14h-2.4z',
  loop: '~M17 3l3 3-3 3M20 6H8a4 4 0 0 0-4 4v1M7 21l-3-3 3-3M4 18h12a4 4 0 0 0 4-4v-1',
  plus: '~M12 5v14M5 12h14',
  minus: '~M5 12h14',
  target: '~M4 5v14M20 5v14M8 12h8M8 12l2.5-2.5M8 12l2.5 2.5M16 12l-2.5-2.5M16 12l-2.5 2.5',
  undo: '~M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3',
  redo: '~M15 14l5-5-5-5M20 9H10a6 6 0 0 0 0 12h3',
  trash: '~M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6',
  check: '~M5 12.5l4.5 4.5L19 7.5',
  down: '~M12 4v11M7 11l5 5 5-5M5 20h14',
  up: '~M12 20V8M7 12l5-5 5 5M5 4h14',
  back: '~M15 5l-7 7 7 7',
  sun: '~M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5',
  moon: '~M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z',
  auto: '~M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  help: '~M9.2 9a3 3 0 1 1 4.3 2.7c-1 .5-1.5 1.1-1.5 2.3M12 17.6v.2M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19z',
  mic: '~M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5 11a7 7 0 0 0 14 0M12 18v3',
  camera: '~M3 7h12v10H3zM15 10.5l6-3v9l-6-3z',
  film: '~M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4',
  info: '~M12 11v6M12 7.4v.2M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19z',
  warn: '~M12 4L2.5 20h19zM12 10v5M12 17.4v.2',
  close: '~M6 6l12 12M18 6L6 18',
  tag: '~M4 4h8l8 8-8 8-8-8zM8.3 8.3v.1',
  sparkle: '~M12 3l2 6.5L20 12l-6 2.5L12 21l-2-6.5L4 12l6-2.5z',
  sound: '~M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  mute: '~M4 9.5h3.5L12 5.5v13l-4.5-4H4zM16 9.5l5 5M21 9.5l-5 5',
  full: '~M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5',
  user: '~M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c.6-4 3.8-6 8-6s7.400 2 8 6',
  jump: '~M5 6h9M5 12h6M5 18h9M15 9l4 3-4 3'
}

/** Make an icon, hidden from screen readers. Paths that start with ~ are strokes. */
export function icon (name) {
  const drawing = document.createElementNS(SVG, 'svg')
  const path = document.createElementNS(SVG, 'path')
  const shape = PATHS[name]
  path.setAttribute('d', shape.replace('~', ''))
  drawing.setAttribute('viewBox', '0 0 24 24')
  drawing.setAttribute('class', shape.startsWith('~') ? 'icon stroke' : 'icon')
  drawing.setAttribute('aria-hidden', 'true')
  drawing.append(path)
  return drawing
}

/** Make a button of an icon alone; its name is read out and shown as a hint. */
export function iconButton (name, label, onclick, key = '') {
  return h('button.ghost.icon-only', {
    type: 'button', onclick, 'aria-label': label, title: key ? `${label} (${key})` : label
  }, icon(name))
}

/** Set an icon button's icon and name. */
export function setIcon (button, name, label, key = '') {
  fill(button, icon(name))
  button.setAttribute('aria-label', label)
  button.title = key ? `${label} (${key})` : label
}

/** Show a short message for some seconds, read out by screen readers. */
export function toast (message, kind = 'info') {
  const box = h(`div.toast.${kind}`, {}, icon(kind === 'error' ? 'warn' : 'info'), h('span', {}, message))
  const close = iconButton('close', 'Close message', () => box.remove())
  box.append(close)
  const all = document.getElementById('toasts')
  all.append(box)
  while (all.children.length > 3) all.firstChild.remove()
  setTimeout(() => box.remove(), kind === 'error' ? 12000 : 5000)
}
