// The JSON beside an exported Core ML package: everything that a stream needs to know.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.

import Foundation

struct CryFacts: Decodable {
    struct Gate: Decodable {
        let enter, leave: Double
        let min_event_seconds, min_gap_seconds, latency_seconds, min_level_dbfs: Double
    }

    struct Detector: Decodable {
        let frame_samples, span_frames, call_samples, reach_samples: Int
        let n_steps, step_samples, lookahead_samples, delay_samples: Int
        let gate: Gate
    }

    struct Tagger: Decodable {
        let tags: [String]
        let heard: Double
    }

    struct Veto: Decodable {
        struct Level: Decodable {
            let at, near, live: Double
        }

        let levels: [String: Level]
        let after_seconds, near_seconds, live_seconds: Double
        let temperature, bias, named_from, certain: Double
    }

    struct Reason: Decodable {
        let window_samples, hop_samples: Int
        let min_cry_share: Double
    }

    struct Smoothing: Decodable {
        let seconds: Double
    }

    struct LabelPolicy: Decodable {
        let has_skill: Bool
        let says: String
    }

    struct Input: Decodable {
        let shape: [Int]
    }

    let sample_rate_hz: Int
    let inputs: [String: Input]
    let labels: [String]
    let detector: Detector
    let tagger: Tagger?
    let veto: Veto?
    let reason: Reason?
    let smoothing: Smoothing
    let label_policy: LabelPolicy

    /// Samples of waveform that one prediction takes.
    var spanSamples: Int { inputs["waveform"]!.shape[1] }

    static func load(from url: URL) throws -> CryFacts {
        try JSONDecoder().decode(CryFacts.self, from: Data(contentsOf: url))
    }
}
