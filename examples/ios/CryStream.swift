// When to run the file, and the smoothing of reasons: what CryStream and Reasons in
// examples/cry_stream.py do, in Swift.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.

import Foundation

final class CryStream {
    /// Events that stand.
    var onEvent: (CryEvent) -> Void = { _ in }
    /// Smoothed probabilities, once a window of the reasons lies in crying.
    var onReasons: ([String: Double]) -> Void = { _ in }

    typealias Predict = (_ waveform: [Float], _ silentFrames: (Int, Int)) throws -> CryScores

    private let facts: CryFacts
    private let predict: Predict
    private let events: CryEvents
    private var span: [Float]
    private var sampleCount = 0
    private var callCount = 0
    private var nextReason: Int?
    private var waiting: [(end: Int, reasons: [String: Double])] = []
    private var crying: [(end: Int, isCrying: Bool)] = []
    private var recent: [[String: Double]] = []

    init(facts: CryFacts, veto: String = "normal", predict: @escaping Predict) {
        self.facts = facts
        self.predict = predict
        events = CryEvents(facts: facts, veto: veto)
        // Silence stands before the start of the stream.
        span = [Float](repeating: 0, count: facts.spanSamples)
        nextReason = facts.reason?.window_samples
    }

    private var nextCall: Int {
        (callCount + 1) * facts.detector.call_samples + facts.detector.reach_samples
    }

    /// Takes 16 kHz mono samples, full scale 1, in pieces of any size.
    func push(_ samples: [Float]) throws {
        var rest = samples[...]
        while !rest.isEmpty {
            let due = min(nextCall, nextReason ?? nextCall)
            let piece = rest.prefix(due - sampleCount)
            rest = rest.dropFirst(piece.count)
            append(piece.map { $0.isFinite ? $0 : 0 })
            if let reason = facts.reason, sampleCount == nextReason {
                waiting.append((sampleCount, try predict(span, (0, 0)).reasons))
                nextReason = sampleCount + reason.hop_samples
            }
            if sampleCount == nextCall { try call() }
        }
    }

    /// Ends the stream: silence behind it completes the last steps.
    func finish() throws {
        let detector = facts.detector
        let end = sampleCount
        let frames = (end + detector.frame_samples - 1) / detector.frame_samples
        let last = (end + detector.step_samples - 1) / detector.step_samples * detector.step_samples
        var isTagged = end <= callCount * detector.call_samples
        while callCount * detector.call_samples - detector.delay_samples < last {
            let endFrame = (callCount + 1) * detector.call_samples / detector.frame_samples
            if !isTagged, frames < endFrame {
                // One more window of the tagger ends with the sound.
                appendSilence(until: frames * detector.frame_samples + detector.reach_samples)
                let before = max(0, detector.span_frames - frames)
                events.tag(try predict(span, (before, 0)), end: end)
                isTagged = true
            }
            appendSilence(until: nextCall)
            try call(behind: max(0, endFrame - frames), soundEnd: end, lastStep: last)
            isTagged = isTagged || endFrame == frames
        }
        report(events.finish(at: end))
        decide(known: nil)
    }

    private func append(_ samples: [Float]) {
        span.removeFirst(min(samples.count, span.count))
        span.append(contentsOf: samples.suffix(facts.spanSamples))
        sampleCount += samples.count
    }

    private func appendSilence(until end: Int) {
        append([Float](repeating: 0, count: max(0, end - sampleCount)))
    }

    private func call(behind: Int = 0, soundEnd: Int = .max, lastStep: Int = .max) throws {
        let detector = facts.detector
        callCount += 1
        let end = callCount * detector.call_samples
        let before = max(0, detector.span_frames - end / detector.frame_samples)
        let scores = try predict(span, (before, behind))
        if behind == 0 { events.tag(scores, end: min(end, soundEnd)) }
        var known = 0
        for (i, score) in scores.edges.enumerated() {
            let ago = (detector.n_steps - 1 - i) * detector.step_samples
            let stepEnd = end - detector.delay_samples - ago
            guard stepEnd > 0, stepEnd <= lastStep else { continue }
            let level = scores.levelsDbfs[i]
            let loud = level >= detector.gate.min_level_dbfs
            known = min(stepEnd, soundEnd)
            report(events.step(end: known, score: loud ? score : 0, level: level))
            crying.append((known, events.fused >= detector.gate.enter))
        }
        decide(known: known)
    }

    private func report(_ found: [CryEvent]) {
        for event in found where event.rejected == nil { onEvent(event) }
    }

    /// Decides on windows of the reasons, as far as the steps within them are known.
    private func decide(known: Int?) {
        guard let reason = facts.reason else { return }
        let ahead = facts.detector.lookahead_samples
        while let (end, prediction) = waiting.first {
            if let known, end - ahead >= known + facts.detector.step_samples { return }
            waiting.removeFirst()
            crying.removeAll { $0.end <= end - reason.window_samples }
            let inside = crying.filter { $0.end <= end - ahead }
            let share = Double(inside.filter { $0.isCrying }.count) / Double(max(1, inside.count))
            guard !inside.isEmpty, share >= reason.min_cry_share else {
                recent.removeAll()
                continue
            }
            let hop = Double(reason.hop_samples) / Double(facts.sample_rate_hz)
            recent.append(prediction)
            recent = recent.suffix(max(1, Int((facts.smoothing.seconds / hop).rounded())))
            var mean: [String: Double] = [:]
            for label in facts.labels {
                mean[label] = recent.map { $0[label] ?? 0 }.reduce(0, +) / Double(recent.count)
            }
            onReasons(mean)
        }
    }
}
