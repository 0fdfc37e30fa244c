// One prediction of an exported Core ML package.
//
// Not compiled and not run by this project, which has no Mac: read it as a guide.

import CoreML

struct CryScores {
    let cry: Double
    let levelDbfs: Double
    /// Empty where the package has a detector alone.
    let reasons: [String: Double]
}

final class CryModel {
    private let model: MLModel
    private let hasReasons: Bool

    init(compiledAt url: URL, facts: CryFacts) throws {
        let configuration = MLModelConfiguration()
        // The part before the network is computed in float32, which the neural engine does not do.
        configuration.computeUnits = .cpuAndGPU
        model = try MLModel(contentsOf: url, configuration: configuration)
        hasReasons = facts.reason != nil
    }

    func predict(_ waveform: [Float]) throws -> CryScores {
        let shape = [1, NSNumber(value: waveform.count)]
        let input = try MLMultiArray(shape: shape, dataType: .float32)
        waveform.withUnsafeBytes { bytes in
            input.dataPointer.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        }
        let features = try MLDictionaryFeatureProvider(dictionary: ["waveform": input])
        let outputs = try model.prediction(from: features)

        var reasons: [String: Double] = [:]
        if hasReasons, let found = outputs.featureValue(for: "probabilities")?.dictionaryValue {
            for (label, probability) in found {
                if let label = label as? String { reasons[label] = probability.doubleValue }
            }
        }
        return CryScores(
            cry: outputs.featureValue(for: "cry")!.multiArrayValue![0].doubleValue,
            levelDbfs: outputs.featureValue(for: "level_dbfs")!.multiArrayValue![0].doubleValue,
            reasons: reasons
        )
    }
}
