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
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt
import kotlin.math.roundToLong

/** [rejected] is what was heard in place of crying, and null for an event that stands. */
data class CryEvent(
    val onsetSeconds: Double,
    val offsetSeconds: Double,
    val confidence: Double,
    val otherTag: String?,
    val rejected: String?,
)

/** Edges and levels are those of the newest steps, oldest first. */
class CryScores(
    val edges: FloatArray,
    val levelsDbfs: FloatArray,
    val tags: FloatArray,
    val tagsLevelDbfs: Float,
    val reasons: FloatArray,
)

/** A window of the tagger: where it ends, and what was heard. */
class Tags(val end: Long, val scores: FloatArray)

/** One prediction of the exported file. */
class CryModel(context: Context, facts: JSONObject) {
    private val nSteps = facts.getJSONObject("detector").getInt("n_steps")
    private val nTags = facts.optJSONObject("tagger")?.getJSONArray("tags")?.length() ?: 0
    private val nLabels = facts.getJSONArray("labels").length()
    private val interpreter = context.assets.open("cry.tflite").use { stream ->
        val bytes = stream.readBytes()
        val buffer = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        buffer.put(bytes).rewind()
        Interpreter(buffer, Interpreter.Options().setNumThreads(1))
    }

    fun predict(waveform: FloatArray, before: Int, behind: Int): CryScores {
        val edges = arrayOf(Array(nSteps) { FloatArray(1) })
        val levels = arrayOf(FloatArray(nSteps))
        val tags = arrayOf(FloatArray(nTags))
        val tagsLevel = arrayOf(FloatArray(1) { Float.NEGATIVE_INFINITY })
        val probabilities = arrayOf(FloatArray(nLabels))
        val outputs = mutableMapOf<String, Any>("cry_edges" to edges, "level_dbfs" to levels)
        if (nTags > 0) outputs += mapOf("tags" to tags, "tags_level_dbfs" to tagsLevel)
        if (nLabels > 0) outputs += mapOf("probabilities" to probabilities)
        val silent = floatArrayOf(before.toFloat(), behind.toFloat())
        interpreter.runSignature(
            mapOf<String, Any>("waveform" to arrayOf(waveform), "silent_frames" to arrayOf(silent)),
            outputs,
            "serving_default",
        )
        val scores = FloatArray(nSteps) { edges[0][it][0] }
        return CryScores(scores, levels[0], tags[0], tagsLevel[0][0], probabilities[0])
    }
}

/** When to run the file, and the smoothing of reasons. */
class CryStream(
    private val facts: JSONObject,
    private val predict: (FloatArray, Int, Int) -> CryScores,
    private val onEvent: (CryEvent) -> Unit,
    veto: String = "normal",
    private val onReasons: (FloatArray) -> Unit,
) {
    private val rate = facts.getDouble("sample_rate_hz")
    private val detector = facts.getJSONObject("detector")
    private val frameSamples = detector.getLong("frame_samples")
    private val stepSamples = detector.getLong("step_samples")
    private val callSamples = detector.getLong("call_samples")
    private val reach = detector.getLong("reach_samples")
    private val delay = detector.getLong("delay_samples")
    private val ahead = detector.getLong("lookahead_samples")
    private val gate = detector.getJSONObject("gate")
    private val reason = facts.optJSONObject("reason")
    private val events = CryEvents(facts, veto)

    // Silence stands before the start of the stream.
    private val span = FloatArray(
        facts.getJSONObject("inputs").getJSONObject("waveform").getJSONArray("shape").getInt(1),
    )
    private var nSamples = 0L
    private var nCalls = 0L
    private var nextReason = reason?.getLong("window_samples") ?: Long.MAX_VALUE
    private val waiting = ArrayDeque<Pair<Long, FloatArray>>()
    private val crying = ArrayDeque<Pair<Long, Boolean>>()
    private val recent = ArrayDeque<FloatArray>()

    private val nextCall get() = (nCalls + 1) * callSamples + reach

    /** Takes 16 kHz mono samples, full scale 1, in pieces of any size. */
    fun push(samples: FloatArray, count: Int) {
        var at = 0
        while (at < count) {
            val due = min(nextCall, nextReason)
            val n = min((count - at).toLong(), min(due - nSamples, span.size.toLong())).toInt()
            append(n) { samples[at + it] }
            at += n
            if (nSamples == nextReason) {
                waiting.addLast(nSamples to predict(span, 0, 0).reasons)
                nextReason += reason!!.getLong("hop_samples")
            }
            if (nSamples == nextCall) call(0, Long.MAX_VALUE, Long.MAX_VALUE)
        }
    }

    /** Ends the stream: silence behind it completes the last steps. */
    fun finish() {
        val end = nSamples
        val frames = (end + frameSamples - 1) / frameSamples
        val last = (end + stepSamples - 1) / stepSamples * stepSamples
        var tagged = end <= nCalls * callSamples
        while (nCalls * callSamples - delay < last) {
            val endFrame = (nCalls + 1) * callSamples / frameSamples
            if (!tagged && frames < endFrame) {
                // One more window of the tagger ends with the sound.
                silence(frames * frameSamples + reach)
                events.tag(predict(span, before(frames), 0), end)
                tagged = true
            }
            silence(nextCall)
            call(max(0L, endFrame - frames).toInt(), end, last)
            tagged = tagged || endFrame == frames
        }
        report(events.finish(end))
        decide(null)
    }

    private fun append(n: Int, sample: (Int) -> Float) {
        span.copyInto(span, 0, n, span.size)
        for (i in 0 until n) {
            val value = sample(i)
            span[span.size - n + i] = if (value.isFinite()) value else 0f
        }
        nSamples += n
    }

    private fun silence(end: Long) {
        while (nSamples < end) append(min(end - nSamples, span.size.toLong()).toInt()) { 0f }
    }

    private fun before(endFrame: Long) =
        max(0L, detector.getLong("span_frames") - endFrame).toInt()

    private fun call(behind: Int, soundEnd: Long, lastStep: Long) {
        nCalls += 1
        val end = nCalls * callSamples
        val scores = predict(span, before(end / frameSamples), behind)
        if (behind == 0) events.tag(scores, min(end, soundEnd))
        var known = 0L
        for (i in scores.edges.indices) {
            val stepEnd = end - delay - (scores.edges.size - 1 - i) * stepSamples
            if (stepEnd <= 0 || stepEnd > lastStep) continue
            val level = scores.levelsDbfs[i]
            val loud = level >= gate.getDouble("min_level_dbfs")
            known = min(stepEnd, soundEnd)
            report(events.step(known, if (loud) scores.edges[i].toDouble() else 0.0))
            crying.addLast(known to (events.fused >= gate.getDouble("enter")))
        }
        decide(known)
    }

    private fun report(found: List<CryEvent>) = found.filter { it.rejected == null }.forEach(onEvent)

    /** Decides on windows of the reasons, as far as the steps within them are known. */
    private fun decide(known: Long?) {
        val settings = reason ?: return
        while (waiting.isNotEmpty()) {
            val (end, prediction) = waiting.first()
            if (known != null && end - ahead >= known + stepSamples) return
            waiting.removeFirst()
            val start = end - settings.getLong("window_samples")
            while (crying.isNotEmpty() && crying.first().first <= start) crying.removeFirst()
            val inside = crying.filter { it.first <= end - ahead }
            val needed = settings.getDouble("min_cry_share") * inside.size
            if (inside.isEmpty() || inside.count { it.second } < needed) {
                recent.clear()
                continue
            }
            val seconds = facts.getJSONObject("smoothing").getDouble("seconds")
            val kept = max(1, (seconds * rate / settings.getLong("hop_samples")).roundToInt())
            recent.addLast(prediction)
            while (recent.size > kept) recent.removeFirst()
            onReasons(FloatArray(prediction.size) { i -> recent.map { it[i] }.average().toFloat() })
        }
    }
}

/** From steps to events, and which of them stand. */
class CryEvents(private val facts: JSONObject, veto: String) {
    private class Open(val onset: Double) {
        var silentSince: Double? = null
        var sum = 0.0
        var n = 0
    }

    private inner class Candidate(val onset: Double, val offset: Double, val score: Double) {
        val onsetSample = sample(onset)
        val offsetSample = sample(offset)
        val at = FloatArray(max(1, tagNames.size))
        var near = 0f
        var stands: Boolean? = if (level == null) true else null
    }

    private val rate = facts.getDouble("sample_rate_hz")
    private val detector = facts.getJSONObject("detector")
    private val gate = detector.getJSONObject("gate")
    private val stepSamples = detector.getLong("step_samples")
    private val ahead = detector.getLong("lookahead_samples")
    private val tagger = facts.optJSONObject("tagger")
    private val tagNames =
        tagger?.getJSONArray("tags")?.let { tags -> List(tags.length()) { tags.getString(it) } }
            ?: emptyList()
    private val rule = facts.optJSONObject("veto")
    private val level = rule?.getJSONObject("levels")?.optJSONObject(veto) // none for "off"
    private val after = seconds("after_seconds")
    private val near = seconds("near_seconds")
    private val live = seconds("live_seconds")
    private val tagged = ArrayDeque<Tags>()
    private val heard = ArrayDeque<Tags>()
    private val waiting = ArrayDeque<Candidate>()
    private var open: Open? = null
    private var nSteps = 0L

    /** Score of the newest step times what was heard of crying. */
    var fused = 0.0
        private set

    /** Takes a window of the tagger; it waits for the steps that may know of it. */
    fun tag(scores: CryScores, end: Long) {
        if (tagger == null) return
        val loud = scores.tagsLevelDbfs >= gate.getDouble("min_level_dbfs")
        val silent = FloatArray(tagNames.size) { if (tagNames[it] == "silence") 1f else 0f }
        tagged.addLast(Tags(end, if (loud) scores.tags else silent))
    }

    /** Follows one more step; gives what is certain. */
    fun step(end: Long, score: Double): List<CryEvent> {
        hear(end + ahead)
        fused = score
        if (level != null) {
            val lately = heard.filter { it.end > end - live && it.end <= end + ahead }
            val most = lately.maxOfOrNull { it.scores[0] } ?: 0f
            fused = score * min(1.0, most / level.getDouble("live"))
        }
        nSteps += 1
        edge(nSteps * stepSamples / rate, score)
        val onset = open?.let { sample(it.onset) } ?: (end - stepSamples)
        while (heard.isNotEmpty() && heard.first().end < onset - max(near, live)) {
            heard.removeFirst()
        }
        return decided()
    }

    /** Ends the stream; what is not certain yet does not stand. */
    fun finish(end: Long): List<CryEvent> {
        hear(Long.MAX_VALUE)
        open?.let { close(it.silentSince ?: (end / rate)) }
        waiting.forEach { it.stands = it.stands ?: false }
        return decided()
    }

    private fun seconds(name: String) = rule?.let { sample(it.getDouble(name)) } ?: 0L

    private fun sample(seconds: Double) = (seconds * rate).roundToLong()

    private fun edge(end: Double, score: Double) {
        val time = end - gate.getDouble("latency_seconds")
        closeAfterGap(time)
        val event = open
        val inside = event != null && event.silentSince == null
        if (score >= gate.getDouble(if (inside) "leave" else "enter")) {
            // The first step starts with the stream, whatever the latency.
            val now = event ?: Open(if (nSteps > 1) max(0.0, time) else 0.0)
            now.silentSince = null
            now.sum += score
            now.n += 1
            open = now
        } else if (event != null) {
            event.silentSince = event.silentSince ?: max(time, event.onset)
            closeAfterGap(time)
        }
    }

    private fun closeAfterGap(time: Double) {
        val since = open?.silentSince ?: return
        if (!shorter(time - since, "min_gap_seconds")) close(since)
    }

    /** Compares to the microsecond, for 2.28 - 2.08 is below 0.2. */
    private fun shorter(length: Double, limit: String) =
        (length * 1e6).roundToLong() < (gate.getDouble(limit) * 1e6).roundToLong()

    private fun close(offset: Double) {
        val event = open ?: return
        open = null
        if (shorter(offset - event.onset, "min_event_seconds")) return
        val candidate = Candidate(event.onset, offset, event.sum / event.n)
        heard.forEach { compare(candidate, it) }
        decide(candidate, heard.lastOrNull()?.end ?: 0L)
        waiting.addLast(candidate)
    }

    private fun hear(end: Long) {
        while (tagged.isNotEmpty() && tagged.first().end <= end) {
            val window = tagged.removeFirst()
            heard.addLast(window)
            for (candidate in waiting) {
                if (candidate.stands != null) continue
                compare(candidate, window)
                decide(candidate, window.end)
            }
        }
    }

    private fun compare(candidate: Candidate, window: Tags) {
        val (onset, offset) = candidate.onsetSample to candidate.offsetSample
        if (window.end in onset..offset + after) {
            for (i in candidate.at.indices) {
                candidate.at[i] = max(candidate.at[i], window.scores[i])
            }
        }
        if (window.end in onset - near..offset + near) {
            candidate.near = max(candidate.near, window.scores[0])
        }
    }

    private fun decide(candidate: Candidate, now: Long) {
        if (level == null || candidate.stands != null) return
        val isHeard = candidate.at[0] >= level.getDouble("at")
        val until = candidate.offsetSample + if (isHeard) near else min(near, after)
        if (isHeard && candidate.near >= level.getDouble("near")) {
            candidate.stands = true
        } else if (now > until) {
            candidate.stands = false
        }
    }

    /** Candidates that need not wait for an earlier one. */
    private fun decided(): List<CryEvent> = buildList {
        while (waiting.isNotEmpty()) {
            val stands = waiting.first().stands ?: break
            add(described(waiting.removeFirst(), stands))
        }
    }

    private fun described(candidate: Candidate, stands: Boolean): CryEvent {
        var confidence = candidate.score
        if (rule != null && level != null) {
            val certain = rule.getDouble("certain")
            val product = confidence * min(1.0, candidate.at[0] / level.getDouble("live"))
            val inside = product.coerceIn(certain, 1 - certain)
            val logit = ln(inside / (1 - inside)) / rule.getDouble("temperature")
            confidence = 1 / (1 + exp(-(logit + rule.getDouble("bias"))))
        }
        val others = tagNames.indices.filter { tagNames[it] !in setOf("cry", "silence") }
        val loudest = others.maxByOrNull { candidate.at[it] }
        val from = if (stands) tagger?.getDouble("heard") else rule?.getDouble("named_from")
        val other = loudest?.takeIf { candidate.at[it] >= (from ?: 1.0) }?.let { tagNames[it] }
        val rejected = if (stands) null else other ?: "not crying"
        return CryEvent(candidate.onset, candidate.offset, confidence, other, rejected)
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
    val samples = FloatArray(facts.getJSONObject("detector").getInt("call_samples"))
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
