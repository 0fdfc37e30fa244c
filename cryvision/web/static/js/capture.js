// The microphone and the camera of the browser, sent to the server as they come.

const PICTURE_MS = 333
const MOST_WAITING_BYTES = 1 << 19 // what a slow connection may hold back before blocks are dropped

const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 }

/** Say in plain words why a device cannot be used. */
function reason (error, device) {
  if (error.name === 'NotAllowedError') return `The browser may not use the ${device}. Allow it in the address bar and try again.`
  if (error.name === 'NotFoundError') return `No ${device} was found.`
  if (error.name === 'NotReadableError') return `Another program uses the ${device}.`
  return error.message
}

async function open (constraints, device) {
  if (!navigator.mediaDevices) throw new Error('The browser gives the microphone and camera only to pages on this computer (localhost) or over HTTPS.')
  try {
    return await navigator.mediaDevices.getUserMedia(constraints)
  } catch (error) {
    throw new Error(reason(error, device))
  }
}

/** Send microphone and camera to the server. Events: `answer` (detail), `closed` (detail: why). */
export class Capture extends EventTarget {
  async start ({ camera, video }) {
    this.streams = [await open({ audio: SOUND }, 'microphone')]
    try {
      if (camera) {
        this.streams.push(await open({ video: { width: 640, height: 480 } }, 'camera'))
        video.srcObject = this.streams[1]
        await video.play()
      }
      await this.connect(camera ? video : null)
    } catch (error) {
      this.stop()
      throw error
    }
  }

  async connect (video) {
    this.context = new AudioContext()
    await this.context.audioWorklet.addModule('/static/js/capture-worklet.js')
    await this.context.resume()
    const rate = this.context.sampleRate
    const source = this.context.createMediaStreamSource(this.streams[0])
    const worklet = new AudioWorkletNode(this.context, 'capture', { numberOfOutputs: 0 })
    source.connect(worklet)
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
    this.socket = new WebSocket(`${scheme}://${location.host}/api/live?kind=browser`)
    this.socket.binaryType = 'arraybuffer'
    this.socket.onopen = () => {
      this.socket.send(JSON.stringify({ sample_rate_hz: rate }))
      worklet.port.onmessage = ({ data }) => this.send(data)
      if (video) this.timer = setInterval(() => this.sendPicture(video), PICTURE_MS)
    }
    this.socket.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent('answer', { detail: JSON.parse(data) }))
    this.socket.onclose = (e) => {
      const why = this.stopped ? '' : e.reason || 'The server closed the connection.'
      this.stop()
      this.dispatchEvent(new CustomEvent('closed', { detail: why }))
    }
    this.streams[0].getAudioTracks()[0].onended = () => {
      this.stop()
      this.dispatchEvent(new CustomEvent('closed', { detail: 'The microphone was disconnected.' }))
    }
  }

  send (data) {
    if (this.socket?.readyState === WebSocket.OPEN && this.socket.bufferedAmount < MOST_WAITING_BYTES) this.socket.send(data)
  }

  async sendPicture (video) {
    if (!video.videoWidth || this.encoding) return
    this.encoding = true
    this.canvas ??= document.createElement('canvas')
    const { canvas } = this
    canvas.width = 320
    canvas.height = Math.round(320 * video.videoHeight / video.videoWidth)
    this.pictureSize = [canvas.width, canvas.height]
    canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height)
    const picture = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.7))
    this.encoding = false
    if (picture) this.send(await new Blob(['J', picture]).arrayBuffer())
  }

  stop () {
    this.stopped = true
    clearInterval(this.timer)
    this.socket?.close()
    this.context?.close().catch(() => {})
    this.context = null
    for (const stream of this.streams ?? []) stream.getTracks().forEach((track) => { track.onended = null; track.stop() })
  }
}

/** Watch a source that the server itself listens to. */
export class Watch extends EventTarget {
  async start ({ source }) {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
    this.socket = new WebSocket(`${scheme}://${location.host}/api/live?source=${encodeURIComponent(source)}`)
    this.socket.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent('answer', { detail: JSON.parse(data) }))
    this.socket.onclose = (e) => this.dispatchEvent(new CustomEvent('closed', { detail: this.stopped ? '' : e.reason || 'The server closed the connection.' }))
  }

  stop () {
    this.stopped = true
    this.socket?.close()
  }
}
