// What this browser keeps: theme, name of the person, own labels, and corrections not yet saved.

const PREFIX = 'cryvision.'

function read (key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key)) ?? fallback
  } catch {
    return fallback // private windows may refuse, and others may have written here
  }
}

/** Keep a value; says whether the browser took it. */
function write (key, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key)
    else localStorage.setItem(PREFIX + key, JSON.stringify(value))
    return true
  } catch {
    return false
  }
}

export const settings = {
  get theme () { return read('theme', 'auto') },
  set theme (value) { write('theme', value) },
  get who () { return String(read('who', '')) },
  set who (value) { write('who', value) },
  get singleKeys () { return read('singleKeys', true) },
  set singleKeys (value) { write('singleKeys', value) },
  get labels () { return read('labels', []).filter((label) => typeof label === 'string') },
  set labels (value) { write('labels', value) },
  get alertSound () { return read('alertSound', false) },
  set alertSound (value) { write('alertSound', value) }
}

const DRAFT_DAYS = 30

export const drafts = {
  get: (clip) => read(`draft.${clip}`, null),
  set: (clip, draft) => write(`draft.${clip}`, { ...draft, at: Date.now() }),
  remove: (clip) => write(`draft.${clip}`, null),
  /** Drop drafts that nobody came back for. */
  sweep () {
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(`${PREFIX}draft.`)) continue
        const at = read(key.slice(PREFIX.length), {}).at ?? 0
        if (Date.now() - at > DRAFT_DAYS * 864e5) localStorage.removeItem(key)
      }
    } catch { /* no storage, no drafts */ }
  }
}

const THEMES = ['auto', 'light', 'dark']
const dark = matchMedia('(prefers-color-scheme: dark)')

/** Apply the chosen theme, or that of the system, and say which is now shown. */
export function applyTheme () {
  const chosen = THEMES.includes(settings.theme) ? settings.theme : 'auto'
  const shown = chosen === 'auto' ? (dark.matches ? 'dark' : 'light') : chosen
  document.documentElement.dataset.theme = shown
  dispatchEvent(new CustomEvent('themechange', { detail: shown }))
  return chosen
}

export function nextTheme () {
  settings.theme = THEMES[(THEMES.indexOf(settings.theme) + 1) % THEMES.length]
  return applyTheme()
}

dark.addEventListener('change', applyTheme)
