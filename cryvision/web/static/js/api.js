// Requests to the server this page came from. No other host is ever asked.

/** An answer that is no success, with the server's own line of text. */
export class Refusal extends Error {
  constructor (status, message, body) {
    super(message)
    this.status = status
    this.body = body
  }
}

/** The server could not be reached. */
export class Offline extends Error {}

async function request (path, options = {}) {
  let answer
  try {
    answer = await fetch(path, { credentials: 'same-origin', ...options })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Offline('The server does not answer.')
  }
  const type = answer.headers.get('content-type') || ''
  if (answer.ok && type.startsWith('image/')) return answer.blob()
  const body = type.includes('json') ? await answer.json().catch(() => null) : null
  if (!answer.ok) {
    const line = typeof body?.error === 'string' ? body.error : plainReason(answer.status)
    throw new Refusal(answer.status, line, body)
  }
  return body
}

function plainReason (status) {
  if (status === 413) return 'The file is too large.'
  if (status === 429) return 'The server is busy. Try again in a moment.'
  if (status === 401) return 'Log in first: reload the page.'
  return `The server answered with error ${status}.`
}

export const get = (path, signal) => request(path, { signal })
/** Get a picture, decoded beside the page's own work. */
export const picture = async (path, signal) => createImageBitmap(await get(path, signal))
export const post = (path, body) => request(path, body === undefined
  ? { method: 'POST' }
  : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
export const remove = (path) => request(path, { method: 'DELETE' })
export const put = (path, body, keepalive = false) => request(path, {
  method: 'PUT', keepalive, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body)
})

export const clipPath = (id, rest = '') => `/api/clips/${encodeURIComponent(id)}${rest}`

export function query (values) {
  return new URLSearchParams(Object.entries(values)).toString()
}

/** Upload a file; `onProgress(share)` is called as it goes. XHR, as fetch tells no progress. */
export function upload (file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest()
    const form = new FormData()
    form.append('file', file, file.name)
    sending.open('POST', '/api/clips')
    sending.responseType = 'json'
    sending.upload.onprogress = (e) => { if (e.lengthComputable) onProgress(e.loaded / e.total) }
    sending.onload = () => {
      if (sending.status < 300) return resolve(sending.response)
      const line = sending.response?.error
      reject(new Refusal(sending.status, typeof line === 'string' ? line : plainReason(sending.status), sending.response))
    }
    // A server that refuses by size may close the connection before the upload has ended.
    sending.onerror = () => reject(new Offline('The upload was cut off. The file may be too large, or the server has stopped.'))
    sending.onabort = () => reject(new DOMException('aborted', 'AbortError'))
    signal?.addEventListener('abort', () => sending.abort())
    sending.send(form)
  })
}

const FINAL = new Set(['done', 'failed', 'cancelled'])

/** Follow a job until it ends: by server-sent events, and by asking where those break off. */
export async function followJob (id, onState = () => {}, signal) {
  const path = `/api/jobs/${encodeURIComponent(id)}`
  let job = await streamed(`${path}/events`, onState, signal)
  while (!FINAL.has(job?.status)) {
    signal?.throwIfAborted()
    job = await get(path, signal)
    if (!FINAL.has(job.status)) {
      onState(job)
      await new Promise((resolve) => setTimeout(resolve, 700))
    }
  }
  if (job.status === 'done') return job
  throw new Refusal(422, job.error || (job.status === 'cancelled' ? 'Cancelled.' : 'The work failed.'), job)
}

function streamed (path, onState, signal) {
  return new Promise((resolve, reject) => {
    const stream = new EventSource(path)
    const end = (settle, value) => { stream.close(); settle(value) }
    signal?.addEventListener('abort', () => end(reject, signal.reason))
    stream.onerror = () => end(resolve, null)
    stream.onmessage = (message) => {
      const job = JSON.parse(message.data)
      if (FINAL.has(job.status)) end(resolve, job)
      else onState(job)
    }
  })
}
