// Runs in the audio thread: gathers the microphone's samples and hands them on as int16.

const SECONDS = 0.1

class Capture extends AudioWorkletProcessor {
  constructor () {
    super()
    this.block = new Int16Array(Math.round(SECONDS * sampleRate))
    this.filled = 0
  }

  process ([channels]) {
    const n = channels[0]?.length ?? 0
    for (let i = 0; i < n; i++) {
      let sum = 0
      for (const channel of channels) sum += channel[i]
      const sample = Math.max(-1, Math.min(1, sum / channels.length))
      this.block[this.filled++] = Math.round(sample * 32767)
      if (this.filled === this.block.length) {
        const { buffer, length } = this.block
        this.port.postMessage(buffer, [buffer])
        this.block = new Int16Array(length)
        this.filled = 0
      }
    }
    return true
  }
}

registerProcessor('capture', Capture)
