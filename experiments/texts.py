"""The words that ship with the trained bundles: sources and licences, notice, model card."""

SOURCES = [
    {
        "name": "donateacry-corpus, cleaned clips, commit 6baf5ac",
        "licence": "ODbL 1.0, contents DbCL 1.0",
        "url": "https://github.com/gveres/donateacry-corpus",
        "changes": "models were trained on it; no recording is part of this bundle",
    },
    {
        "name": "Infant-Cry-Detection-by-CRSTC, cry segments of donateacry-corpus, commit 0bc0d36",
        "licence": "MIT, as its README says",
        "url": "https://github.com/PeterIsDanning/Infant-Cry-Detection-by-CRSTC",
        "changes": "used as labels; no file is part of this bundle",
    },
    {
        "name": "ESC-10, commit 553c8f1 (K. J. Piczak, ESC: Dataset for Environmental Sound "
        "Classification, ACM Multimedia 2015)",
        "licence": "CC BY 3.0; credits for each clip in its README",
        "url": "https://github.com/karolpiczak/ESC-10",
        "changes": "models were trained on it; no recording is part of this bundle",
    },
    {
        "name": "Free Spoken Digit Dataset, five of six speakers",
        "licence": "CC BY-SA 4.0",
        "url": "https://github.com/Jakobovski/free-spoken-digit-dataset",
        "changes": "models were trained on it; no recording is part of this bundle",
    },
]

NOTICE = (
    """cryvision: trained models

These models were trained by the cryvision project on the data sets below. None of their
recordings is in this folder; the weights are numbers that were learned from them.

"""
    + "\n\n".join(
        "{name}\n  {url}\n  licence: {licence}\n  {changes}".format(**source) for source in SOURCES
    )
    + "\n"
)

MODEL_CARD = """# The default bundle

**For:** finding when an infant cries in recordings of a room, a phone or a video: research on
crying, baby monitors under development. **Not for:** medical decisions, or leaving an infant
without supervision.

## The detector
A small convolutional network on mel spectra (50 to 3400 Hz) of 4 s of sound, scoring the last
0.5 s, ten times a second. Measured on 0.5 s windows of donateacry-corpus, grouped 5-fold by phone
(no phone on both sides): AUC {detector_auc:.3f}, F1 {detector_f1:.3f}, balanced accuracy
{detector_balanced_accuracy:.3f}, calibration error {detector_ece:.3f}. About half of these windows
are crying; where crying is rare, a score means less than it says. More figures, with other sounds,
noise and codecs, are in the documentation.

Known weaknesses: the recordings come from phones held near the baby; laughing and babbling infants
were hardly among them; cats and whining dogs are not covered by any figure.

## The reasons: an experiment
Two autoencoder branches (MFCC, STFT) and their ensemble, after Cha & Bae, for the five classes that
donateacry-corpus has. Measured by clip, grouped 5-fold by phone: balanced accuracy
{reason_balanced_accuracy:.3f} (chance 0.200), macro F1 {reason_macro_f1:.3f}, log-loss
{reason_log_loss:.3f} where the classes' shares alone give {prior_log_loss:.3f}, calibration error
{reason_ece:.3f}. That is no skill: the answer is "not sure" unless it is overridden. The labels are
the guesses of parents, and 84 % of the clips are labelled hungry.

## Data
See NOTICE. Phones are known by the id of the app's installation, which is not always one baby.
"""
