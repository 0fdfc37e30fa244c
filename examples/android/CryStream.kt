// Crying from the microphone of an Android phone, with an exported LiteRT file.
//
// Not compiled and not run by this project: read it as a guide. It follows examples/cry_stream.py,
// which is run and compared with `cryvision classify`.
//
// The app needs the permission RECORD_AUDIO, com.google.ai.edge.litert:litert among its
// dependencies, and among its assets cry.tflite and cry.tflite.json, from
// `cryvision export --out cry.tflite --precision fp16`.

import android.annotation.SuppressLint
import android.content.Context
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import org.json.JSONObject
import org.tensorflow.lite.Interpreter
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

data class CryEvent(val onsetSeconds: Double, val offsetSeconds: Double, val confidence: Double)

data class CryScores(val cry: Float, val levelDbfs: Float, val reasons: FloatArray)

/** One prediction of the exported file. */
class CryModel(context: Context, facts: JSONObject) {
    private val nLabels = facts.getJSONArray("labels").length()
    private val interpreter = context.assets.open("cry.tflite").use { stream ->
        val bytes = stream.readBytes()
        val buffer = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        buffer.put(bytes).rewind()
        Interpreter(buffer, Interpreter.Options().setNumThreads(1))
    }

    fun predict(waveform: FloatArray): CryScores {
        val cry = arrayOf(FloatArray(1))
        val level = arrayOf(FloatArray(1))
        val probabilities = arrayOf(FloatArray(nLabels))
        interpreter.runSignature(
            mapOf<String, Any>("waveform" to arrayOf(waveform)),
            mapOf<String, Any>(
                "cry" to cry, "level_dbfs" to level, "probabilities" to probabilities,
            ),
            "serving_default",
        )
        return CryScores(cry[0][0], level[0][0], probabilities[0])
    }
}

/** Buffers, hysteresis and smoothing. */
class CryStream(
    private val facts: JSONObject,
    private val predict: (FloatArray) -> CryScores,
    private val onEvent: (CryEvent) -> Unit,
    private val onReasons: (FloatArray) -> Unit,
) {
    private class Open(val onset: Double) {
        var silentSince: Double? = null
        var sum = 0.0
        var n = 0
    }

    private val rate = facts.getDouble("sample_rate_hz")
    private val detector = facts.getJSONObject("detector")
    private val gate = detector.getJSONObject("gate")
    private val reason = facts.optJSONObject("reason")

    // Silence stands before the start of the stream.
    private val span = FloatArray(
        facts.getJSONObject("inputs").getJSONObject("waveform").getJSONArray("shape").getInt(1),
    )
    private var nSamples = 0L
    private var nextDetector = detector.getLong("window_samples")
    private var nextReason = reason?.getLong("window_samples") ?: Long.MAX_VALUE
    private var nWindows = 0
    private val crying = ArrayDeque<Pair<Long, Boolean>>()
    private val recent = ArrayDeque<FloatArray>()
    private var open: Open? = null

    /** Takes 16 kHz mono samples, full scale 1, in pieces of any size. */
    fun push(samples: FloatArray, count: Int) {
        var at = 0
        while (at < count) {
            val end = min(nextDetector, nextReason)
            val n = min((count - at).toLong(), min(end - nSamples, span.size.toLong())).toInt()
            span.copyInto(span, 0, n, span.size)
            for (i in 0 until n) {
                val sample = samples[at + i]
                span[span.size - n + i] = if (sample.isFinite()) sample else 0f
            }
            at += n
            nSamples += n
            if (nSamples == end) window()
        }
    }

    /** Ends the stream. */
    fun finish() = open?.let { close(it.silentSince ?: (nSamples / rate)) }

    private fun window() {
        val scores = predict(span)
        if (nSamples == nextDetector) {
            nextDetector += detector.getLong("hop_samples")
            val loud = scores.levelDbfs >= gate.getDouble("min_level_dbfs")
            follow(if (loud) scores.cry.toDouble() else 0.0)
        }
        if (nSamples == nextReason) {
            nextReason += reason!!.getLong("hop_samples")
            reasons(scores.reasons)
        }
    }

    private fun follow(score: Double) {
        val end = nSamples / rate
        val time = end - gate.getDouble("latency_seconds")
        crying.addLast(nSamples to (score >= gate.getDouble("enter")))
        val event = open
        val inside = event != null && event.silentSince == null
        if (score >= gate.getDouble(if (inside) "leave" else "enter")) {
            // Of what came before the first window nothing is known: it starts with that.
            val window = detector.getLong("window_samples") / rate
            val now = event ?: Open(max(0.0, if (nWindows > 0) time else end - window))
            now.silentSince = null
            now.sum += score
            now.n += 1
            open = now
        } else if (event != null) {
            val since = event.silentSince ?: max(time, event.onset)
            event.silentSince = since
            if (time - since >= gate.getDouble("min_gap_seconds")) close(since)
        }
        nWindows += 1
    }

    private fun close(offset: Double) {
        val event = open ?: return
        open = null
        if (offset - event.onset >= gate.getDouble("min_event_seconds")) {
            onEvent(CryEvent(event.onset, offset, event.sum / event.n))
        }
    }

    private fun reasons(probabilities: FloatArray) {
        val settings = reason ?: return
        val start = nSamples - settings.getLong("window_samples")
        while (crying.isNotEmpty() && crying.first().first <= start) crying.removeFirst()
        val needed = settings.getDouble("min_cry_share") * crying.size
        if (crying.isEmpty() || crying.count { it.second } < needed) {
            recent.clear()
            return
        }
        val seconds = facts.getJSONObject("smoothing").getDouble("seconds")
        val kept = max(1, (seconds * rate / settings.getLong("hop_samples")).roundToInt())
        recent.addLast(probabilities)
        while (recent.size > kept) recent.removeFirst()
        onReasons(FloatArray(probabilities.size) { i -> recent.map { it[i] }.average().toFloat() })
    }
}

/** Records until told to stop; call it on a thread of its own. */
@SuppressLint("MissingPermission")
fun listen(context: Context, stop: () -> Boolean, onEvent: (CryEvent) -> Unit) {
    val text = context.assets.open("cry.tflite.json").bufferedReader().use { it.readText() }
    val facts = JSONObject(text)
    val policy = facts.getJSONObject("label_policy")
    val labels = facts.getJSONArray("labels")
    val stream = CryStream(facts, CryModel(context, facts)::predict, onEvent) { probabilities ->
        // Without measured skill a label must not be shown as if it were known.
        val best = probabilities.indices.maxBy { probabilities[it] }
        val sure = policy.getBoolean("has_skill")
        println(if (sure) labels.getString(best) else policy.getString("says"))
    }
    val rate = facts.getInt("sample_rate_hz")
    val encoding = AudioFormat.ENCODING_PCM_FLOAT
    val size = AudioRecord.getMinBufferSize(rate, AudioFormat.CHANNEL_IN_MONO, encoding)
    // UNPROCESSED: no automatic gain, which would change the levels under the gate.
    val source = MediaRecorder.AudioSource.UNPROCESSED
    val record = AudioRecord(source, rate, AudioFormat.CHANNEL_IN_MONO, encoding, 4 * size)
    val samples = FloatArray(facts.getJSONObject("detector").getInt("hop_samples"))
    record.startRecording()
    try {
        while (!stop()) {
            val n = record.read(samples, 0, samples.size, AudioRecord.READ_BLOCKING)
            if (n > 0) stream.push(samples, n)
        }
    } finally {
        record.stop()
        record.release()
        stream.finish()
    }
}
