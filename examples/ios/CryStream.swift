// Buffers, hysteresis and smoothing: what examples/cry_stream.py does, in Swift.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.

import Foundation

struct CryEvent {
    let onsetSeconds, offsetSeconds, confidence: Double
}

final class CryStream {
    var onEvent: (CryEvent) -> Void = { _ in }
    /// Smoothed probabilities, once a window of the reasons lies in crying.
    var onReasons: ([String: Double]) -> Void = { _ in }

    private let facts: CryFacts
    private let predict: ([Float]) throws -> CryScores
    private var span: [Float]
    private var sampleCount = 0
    private var nextDetector: Int
    private var nextReason: Int?
    private var windowCount = 0
    private var crying: [(end: Int, isCrying: Bool)] = []
    private var recent: [[String: Double]] = []
    private var open: (onset: Double, silentSince: Double?, scores: [Double])?

    init(facts: CryFacts, predict: @escaping ([Float]) throws -> CryScores) {
        self.facts = facts
        self.predict = predict
        // Silence stands before the start of the stream.
        span = [Float](repeating: 0, count: facts.spanSamples)
        nextDetector = facts.detector.window_samples
        nextReason = facts.reason?.window_samples
    }

    /// Takes 16 kHz mono samples, full scale 1, in pieces of any size.
    func push(_ samples: [Float]) throws {
        var rest = samples[...]
        while !rest.isEmpty {
            let end = min(nextDetector, nextReason ?? nextDetector)
            let piece = rest.prefix(end - sampleCount)
            rest = rest.dropFirst(piece.count)
            span.removeFirst(min(piece.count, span.count))
            span.append(contentsOf: piece.suffix(facts.spanSamples).map { $0.isFinite ? $0 : 0 })
            sampleCount += piece.count
            if sampleCount == end { try window() }
        }
    }

    /// Ends the stream.
    func finish() {
        guard let event = open else { return }
        close(at: event.silentSince ?? seconds(sampleCount))
    }

    private func window() throws {
        let scores = try predict(span)
        if sampleCount == nextDetector {
            nextDetector += facts.detector.hop_samples
            let isLoud = scores.levelDbfs >= facts.detector.gate.min_level_dbfs
            follow(isLoud ? scores.cry : 0)
        }
        if let reason = facts.reason, sampleCount == nextReason {
            nextReason = sampleCount + reason.hop_samples
            reasons(scores.reasons, reason)
        }
    }

    private func follow(_ score: Double) {
        let gate = facts.detector.gate
        let end = seconds(sampleCount)
        let time = end - gate.latency_seconds
        crying.append((sampleCount, score >= gate.enter))
        let isInside = open != nil && open!.silentSince == nil
        if score >= (isInside ? gate.leave : gate.enter) {
            if open == nil {
                // Of what came before the first window nothing is known: it starts with that.
                let onset = windowCount > 0 ? time : end - seconds(facts.detector.window_samples)
                open = (max(0, onset), nil, [])
            }
            open!.silentSince = nil
            open!.scores.append(score)
        } else if let event = open {
            let since = event.silentSince ?? max(time, event.onset)
            open!.silentSince = since
            if time - since >= gate.min_gap_seconds { close(at: since) }
        }
        windowCount += 1
    }

    private func close(at offset: Double) {
        guard let event = open else { return }
        open = nil
        guard offset - event.onset >= facts.detector.gate.min_event_seconds else { return }
        let confidence = event.scores.reduce(0, +) / Double(event.scores.count)
        onEvent(CryEvent(onsetSeconds: event.onset, offsetSeconds: offset, confidence: confidence))
    }

    private func reasons(_ probabilities: [String: Double], _ reason: CryFacts.Reason) {
        let start = sampleCount - reason.window_samples
        crying.removeAll { $0.end <= start }
        let share = Double(crying.filter { $0.isCrying }.count) / Double(max(1, crying.count))
        guard !crying.isEmpty, share >= reason.min_cry_share else {
            recent.removeAll()
            return
        }
        let hop = seconds(reason.hop_samples)
        recent.append(probabilities)
        recent = recent.suffix(max(1, Int((facts.smoothing.seconds / hop).rounded())))
        var mean: [String: Double] = [:]
        for label in facts.labels {
            mean[label] = recent.map { $0[label] ?? 0 }.reduce(0, +) / Double(recent.count)
        }
        onReasons(mean)
    }

    private func seconds(_ samples: Int) -> Double {
        Double(samples) / Double(facts.sample_rate_hz)
    }
}
