// From steps to events, and which of them stand: what Events in examples/cry_stream.py does.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.

import Foundation

struct CryEvent {
    let onsetSeconds, offsetSeconds, confidence: Double
    let otherTag: String?
    /// What was heard in place of crying; nil for an event that stands.
    let rejected: String?
}

final class CryEvents {
    /// Score of the newest step times what was heard of crying.
    private(set) var fused = 0.0

    private struct Open {
        let onset: Double
        var silentSince: Double?
        var scores: [Double] = []
    }

    private struct Candidate {
        let onset, offset, score: Double
        let onsetSample, offsetSample: Int
        var at: [Double]
        var near = 0.0
        var stands: Bool?
    }

    private let facts: CryFacts
    private let level: CryFacts.Veto.Level?
    private let after, near, live: Int
    private var tagged: [(end: Int, scores: [Double])] = []
    private var heard: [(end: Int, scores: [Double])] = []
    private var open: Open?
    private var waiting: [Candidate] = []
    private var stepCount = 0

    init(facts: CryFacts, veto: String) {
        self.facts = facts
        level = facts.veto?.levels[veto]  // none for "off"
        let rate = Double(facts.sample_rate_hz)
        after = Int(((facts.veto?.after_seconds ?? 0) * rate).rounded())
        near = Int(((facts.veto?.near_seconds ?? 0) * rate).rounded())
        live = Int(((facts.veto?.live_seconds ?? 0) * rate).rounded())
    }

    /// Takes a window of the tagger; it waits for the steps that may know of it.
    func tag(_ scores: CryScores, end: Int) {
        guard let tagger = facts.tagger else { return }
        let loud = scores.tagsLevelDbfs >= facts.detector.gate.min_level_dbfs
        tagged.append((end, loud ? scores.tags : tagger.tags.map { $0 == "silence" ? 1 : 0 }))
    }

    /// Follows one more step; gives what is certain.
    func step(end: Int, score: Double, level stepLevel: Double) -> [CryEvent] {
        let ahead = end + facts.detector.lookahead_samples
        hear(until: ahead)
        fused = score
        if let level {
            let lately = heard.filter { $0.end > end - live && $0.end <= ahead }
            fused = score * min(1, (lately.map { $0.scores[0] }.max() ?? 0) / level.live)
        }
        stepCount += 1
        edge(Double(stepCount * facts.detector.step_samples) / Double(facts.sample_rate_hz), score)
        let onset = open.map { sample($0.onset) } ?? end - facts.detector.step_samples
        heard.removeAll { $0.end < onset - max(near, live) }
        return decided()
    }

    /// Ends the stream; what is not certain yet does not stand.
    func finish(at end: Int) -> [CryEvent] {
        hear(until: .max)
        if let event = open {
            close(at: event.silentSince ?? Double(end) / Double(facts.sample_rate_hz))
        }
        for i in waiting.indices { waiting[i].stands = waiting[i].stands ?? false }
        return decided()
    }

    private func sample(_ seconds: Double) -> Int {
        Int((seconds * Double(facts.sample_rate_hz)).rounded())
    }

    private func edge(_ end: Double, _ score: Double) {
        let gate = facts.detector.gate
        let time = end - gate.latency_seconds
        closeAfterGap(time)
        let isInside = open != nil && open!.silentSince == nil
        if score >= (isInside ? gate.leave : gate.enter) {
            // The first step starts with the stream, whatever the latency.
            if open == nil { open = Open(onset: stepCount > 1 ? max(0, time) : 0) }
            open!.silentSince = nil
            open!.scores.append(score)
        } else if let event = open {
            open!.silentSince = event.silentSince ?? max(time, event.onset)
            closeAfterGap(time)
        }
    }

    private func closeAfterGap(_ time: Double) {
        guard let since = open?.silentSince else { return }
        if !isShorter(time - since, than: facts.detector.gate.min_gap_seconds) { close(at: since) }
    }

    /// Compares to the microsecond, for 2.28 - 2.08 is below 0.2.
    private func isShorter(_ length: Double, than limit: Double) -> Bool {
        (length * 1e6).rounded() < (limit * 1e6).rounded()
    }

    private func close(at offset: Double) {
        guard let event = open else { return }
        open = nil
        let shortest = facts.detector.gate.min_event_seconds
        guard !isShorter(offset - event.onset, than: shortest) else { return }
        var candidate = Candidate(
            onset: event.onset,
            offset: offset,
            score: event.scores.reduce(0, +) / Double(event.scores.count),
            onsetSample: sample(event.onset),
            offsetSample: sample(offset),
            at: [Double](repeating: 0, count: max(1, facts.tagger?.tags.count ?? 0)),
            stands: level == nil ? true : nil
        )
        for window in heard { compare(&candidate, window) }
        decide(&candidate, now: heard.last?.end ?? 0)
        waiting.append(candidate)
    }

    private func hear(until end: Int) {
        while let window = tagged.first, window.end <= end {
            tagged.removeFirst()
            heard.append(window)
            for i in waiting.indices where waiting[i].stands == nil {
                compare(&waiting[i], window)
                decide(&waiting[i], now: window.end)
            }
        }
    }

    private func compare(_ candidate: inout Candidate, _ window: (end: Int, scores: [Double])) {
        let (onset, offset) = (candidate.onsetSample, candidate.offsetSample)
        if window.end >= onset, window.end <= offset + after {
            candidate.at = zip(candidate.at, window.scores).map { max($0, $1) }
        }
        if window.end >= onset - near, window.end <= offset + near {
            candidate.near = max(candidate.near, window.scores[0])
        }
    }

    private func decide(_ candidate: inout Candidate, now: Int) {
        guard let level, candidate.stands == nil else { return }
        let isHeard = candidate.at[0] >= level.at
        if isHeard, candidate.near >= level.near {
            candidate.stands = true
        } else if now > candidate.offsetSample + (isHeard ? near : min(near, after)) {
            candidate.stands = false
        }
    }

    /// Candidates that need not wait for an earlier one.
    private func decided() -> [CryEvent] {
        var found: [CryEvent] = []
        while let candidate = waiting.first, let stands = candidate.stands {
            waiting.removeFirst()
            found.append(described(candidate, stands))
        }
        return found
    }

    private func described(_ candidate: Candidate, _ stands: Bool) -> CryEvent {
        var confidence = candidate.score
        if let veto = facts.veto, let level {
            let product = confidence * min(1, candidate.at[0] / level.live)
            let inside = min(max(product, veto.certain), 1 - veto.certain)
            let logit = log(inside / (1 - inside)) / veto.temperature + veto.bias
            confidence = 1 / (1 + exp(-logit))
        }
        let tags = facts.tagger?.tags ?? []
        let others = zip(tags, candidate.at).filter { $0.0 != "cry" && $0.0 != "silence" }
        let loudest = others.max { $0.1 < $1.1 }
        let from = stands ? (facts.tagger?.heard ?? 1) : (facts.veto?.named_from ?? 1)
        let other = loudest.flatMap { $0.1 >= from ? $0.0 : nil }
        return CryEvent(
            onsetSeconds: candidate.onset,
            offsetSeconds: candidate.offset,
            confidence: confidence,
            otherTag: other,
            rejected: stands ? nil : other ?? "not crying"
        )
    }
}
