// One prediction of an exported Core ML package.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.

import CoreML

struct CryScores {
    /// Of the newest steps, oldest first.
    let edges, levelsDbfs: [Double]
    /// Empty where the package has no tagger.
    let tags: [Double]
    let tagsLevelDbfs: Double
    /// Empty where the package has no reasons.
    let reasons: [String: Double]
}

final class CryModel {
    private let model: MLModel

    init(compiledAt url: URL) throws {
        let configuration = MLModelConfiguration()
        // The part before the networks is computed in float32, which the neural engine does not do.
        configuration.computeUnits = .cpuAndGPU
        model = try MLModel(contentsOf: url, configuration: configuration)
    }

    /// - Parameter silentFrames: how many frames of the span lie before the start of the stream,
    ///   and behind its end.
    func predict(_ waveform: [Float], silentFrames: (Int, Int)) throws -> CryScores {
        let silent = [Float(silentFrames.0), Float(silentFrames.1)]
        let features = try MLDictionaryFeatureProvider(dictionary: [
            "waveform": Self.array(waveform), "silent_frames": Self.array(silent),
        ])
        let outputs = try model.prediction(from: features)
        let tagsLevel = Self.values(outputs, "tags_level_dbfs").first

        var reasons: [String: Double] = [:]
        for (label, probability) in outputs.featureValue(for: "probabilities")?.dictionaryValue ?? [:] {
            if let label = label as? String { reasons[label] = probability.doubleValue }
        }
        return CryScores(
            edges: Self.values(outputs, "cry_edges"),
            levelsDbfs: Self.values(outputs, "level_dbfs"),
            tags: Self.values(outputs, "tags"),
            tagsLevelDbfs: tagsLevel ?? -.infinity,
            reasons: reasons
        )
    }

    private static func array(_ values: [Float]) throws -> MLMultiArray {
        let array = try MLMultiArray(
            shape: [1, NSNumber(value: values.count)], dataType: .float32
        )
        values.withUnsafeBytes { bytes in
            array.dataPointer.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        }
        return array
    }

    private static func values(_ outputs: MLFeatureProvider, _ name: String) -> [Double] {
        guard let array = outputs.featureValue(for: name)?.multiArrayValue else { return [] }
        return (0..<array.count).map { array[$0].doubleValue }
    }
}
