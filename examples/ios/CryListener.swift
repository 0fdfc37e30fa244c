// The microphone through AVAudioEngine, as 16 kHz mono, into a CryStream.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.
//
// The app needs NSMicrophoneUsageDescription in its Info.plist, and Cry.mlpackage with
// Cry.mlpackage.json (from `cryvision export --out Cry.mlpackage`) among its resources.

import AVFoundation
import CoreML

final class CryListener {
    private let engine = AVAudioEngine()
    private let queue = DispatchQueue(label: "cry")
    private let facts: CryFacts
    private let stream: CryStream

    init() throws {
        let bundle = Bundle.main
        let facts = try CryFacts.load(
            from: bundle.url(forResource: "Cry.mlpackage", withExtension: "json")!
        )
        // Xcode compiles the package into the app.
        let model = try CryModel(
            compiledAt: bundle.url(forResource: "Cry", withExtension: "mlmodelc")!
        )
        self.facts = facts
        stream = CryStream(facts: facts) { try model.predict($0, silentFrames: $1) }
        stream.onEvent = { event in
            print("cry from \(event.onsetSeconds) to \(event.offsetSeconds) s")
        }
        stream.onReasons = { probabilities in
            // Without measured skill a label must not be shown as if it were known.
            guard facts.label_policy.has_skill else { return print(facts.label_policy.says) }
            print(probabilities.max { $0.value < $1.value }!.key)
        }
    }

    func start() throws {
        let session = AVAudioSession.sharedInstance()
        // .measurement: no automatic gain, which would change the levels under the gate.
        try session.setCategory(.record, mode: .measurement)
        try session.setActive(true)

        let input = engine.inputNode
        let source = input.outputFormat(forBus: 0)
        let wanted = AVAudioFormat(
            commonFormat: .pcmFormatFloat32,
            sampleRate: Double(facts.sample_rate_hz),
            channels: 1,
            interleaved: false
        )!
        let converter = AVAudioConverter(from: source, to: wanted)!
        input.installTap(onBus: 0, bufferSize: 4096, format: source) { [weak self] buffer, _ in
            guard let self, let samples = Self.convert(buffer, converter, wanted) else { return }
            self.queue.async {
                do { try self.stream.push(samples) } catch { print(error) }
            }
        }
        try engine.start()
    }

    func stop() {
        engine.inputNode.removeTap(onBus: 0)
        engine.stop()
        queue.async {
            do { try self.stream.finish() } catch { print(error) }
        }
    }

    private static func convert(
        _ buffer: AVAudioPCMBuffer, _ converter: AVAudioConverter, _ format: AVAudioFormat
    ) -> [Float]? {
        let ratio = format.sampleRate / buffer.format.sampleRate
        let capacity = AVAudioFrameCount(Double(buffer.frameLength) * ratio) + 16
        guard let out = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: capacity) else {
            return nil
        }
        var given = false
        var error: NSError?
        converter.convert(to: out, error: &error) { _, status in
            // The same buffer must not be given twice: the converter keeps what it has not used.
            status.pointee = given ? .noDataNow : .haveData
            defer { given = true }
            return given ? nil : buffer
        }
        guard error == nil, let channel = out.floatChannelData else { return nil }
        return Array(UnsafeBufferPointer(start: channel[0], count: Int(out.frameLength)))
    }
}
