"""Labelled clips are found as they were labelled, with whose they are; nothing is guessed."""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from cryvision.datasets.labelled import Dataset, LabelledClip, find_labelled_clips
from cryvision.errors import AnnotationError, ConfigError

IOS = "0D1AD73E-4C5E-45F3-85C4-9A3CB71E8856"
ANDROID = "0c8f14a9-6999-485b-97a2-913c1cbf099c"
SECOND = "0911C8F7-99D0-4A44-BC34-894BA5D83032"
CLEANED = "donateacry_corpus_cleaned_and_updated_data"
ANDROID_BUCKET = "donateacry-android-upload-bucket"
IOS_BUCKET = "donateacry-ios-upload-bucket"
UPLOAD_BYTES = 63_596
"""Seven seconds of the app for iOS."""


def write(path: Path, content: str | bytes = b"sound") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def upload(path: Path, n_bytes: int = UPLOAD_BYTES) -> Path:
    return write(path, bytes(n_bytes))


def by_name(dataset: Dataset) -> dict[str, LabelledClip]:
    return {clip.path.name: clip for clip in dataset.clips}


class TestUploadBucket:
    @pytest.mark.parametrize(
        ("code", "label"),
        [
            ("hu", "hungry"),
            ("bu", "burping"),
            ("bp", "belly_pain"),
            ("dc", "discomfort"),
            ("ti", "tired"),
            ("lo", "lonely"),
            ("ch", "cold_hot"),
            ("sc", "scared"),
            ("dk", "unknown"),
            ("HU", "hungry"),
        ],
    )
    def test_the_code_is_the_label(self, tmp_path: Path, code: str, label: str) -> None:
        upload(tmp_path / f"{IOS}-1430742197-1.0-m-04-{code}.caf")
        dataset = find_labelled_clips(tmp_path)
        assert [clip.label for clip in dataset.clips] == [label]
        assert dataset.problems == ()

    def test_names_of_both_platforms_are_read(self, tmp_path: Path) -> None:
        upload(tmp_path / f"{IOS}-1430742197-1.0-m-04-hu.caf")
        upload(tmp_path / f"{ANDROID}-1431028888092-1.7-f-26-sc.3gp")
        ios, android = find_labelled_clips(tmp_path).clips
        assert (ios.subject, ios.subject_source) == (IOS.lower(), "pattern")
        assert ios.columns == {
            "platform": "ios",
            "epoch_s": "1430742197",
            "app_version": "1.0",
            "gender": "m",
            "age": "04",
            "code": "hu",
        }
        assert android.subject == ANDROID
        assert android.columns == {
            "platform": "android",
            "epoch_s": "1431028888.092",
            "app_version": "1.7",
            "gender": "f",
            "age": "26",
            "code": "sc",
        }

    def test_one_phone_is_one_subject_in_either_case(self, tmp_path: Path) -> None:
        upload(tmp_path / f"{IOS}-1430742197-1.0-m-04-hu.caf")
        upload(tmp_path / f"{IOS.lower()}-1430742198-1.0-m-04-hu.caf")
        assert {clip.subject for clip in find_labelled_clips(tmp_path).clips} == {IOS.lower()}

    @pytest.mark.parametrize(
        ("name", "epoch_s"),
        [
            (f"{IOS}-1426957748.47029-1-{SECOND}-f-26-ti.caf.caf", "1426957748.47029"),
            (f"{IOS}-1426958010-1.0-{SECOND}-f-26-ti.caf", "1426958010"),
            (f"{IOS}-1426958010-1.0-f-26-ti.caf.caf", "1426958010"),
        ],
    )
    def test_a_second_id_or_suffix_is_read_and_reported(
        self, tmp_path: Path, name: str, epoch_s: str
    ) -> None:
        path = upload(tmp_path / name)
        dataset = find_labelled_clips(tmp_path)
        (clip,) = dataset.clips
        assert (clip.label, clip.subject) == ("tired", IOS.lower())
        assert (clip.columns["epoch_s"], clip.columns["platform"]) == (epoch_s, "ios")
        assert len(dataset.problems) == 1
        assert dataset.problems[0].startswith(f"{path}: an odd name")

    @pytest.mark.parametrize(
        "name",
        [
            f"{IOS}-1430742197-1.0-m-04-zz.caf",
            f"{IOS}-143074219-1.0-m-04-hu.caf",
            f"{IOS}-14307421970-1.0-m-04-hu.caf",
            f"{IOS}-1430742197-m-04-hu.caf",
            f"{IOS}-1430742197-1.0-x-04-hu.caf",
            f"{IOS}-1430742197-1.0-m-4-hu.caf",
            f"{IOS}-1430742197-1.0-m-04.caf",
            f"{IOS}-1430742197-1.0-m-04-hu-hu.caf",
            f"{IOS[:-1]}-1430742197-1.0-m-04-hu.caf",
            f"{IOS}-{SECOND}-1430742197-1.0-m-04-hu.caf",
            "baby.caf",
        ],
    )
    def test_other_names_are_reported_and_left_out(self, tmp_path: Path, name: str) -> None:
        upload(tmp_path / f"{IOS}-1430742197-1.0-m-04-hu.caf")
        odd = upload(tmp_path / name)
        dataset = find_labelled_clips(tmp_path)
        assert len(dataset.clips) == 1
        assert len(dataset.problems) == 1
        assert dataset.problems[0].startswith(f"{odd}: ")

    def test_stubs_and_empty_files_are_reported_and_left_out(self, tmp_path: Path) -> None:
        whole = upload(tmp_path / f"{IOS}-1430742197-1.0-m-04-hu.caf")
        stub = upload(tmp_path / f"{IOS}-1430742198-1.0-m-04-hu.caf", 22_422)
        short = upload(tmp_path / f"{ANDROID}-1431028888092-1.7-m-26-hu.3gp", 6_169)
        empty = upload(tmp_path / f"{ANDROID}-1431028888093-1.7-m-26-hu.3gp", 0)
        dataset = find_labelled_clips(tmp_path)
        assert set(by_name(dataset)) == {whole.name, short.name}
        assert sorted(dataset.problems) == sorted(
            [
                f"{stub}: a stub of 22422 bytes, an upload that was cut off",
                f"{empty}: a clip must not be empty",
            ]
        )


class TestCleanedCorpus:
    def test_the_folder_is_the_label_and_the_phone_the_subject(self, tmp_path: Path) -> None:
        write(tmp_path / "hungry" / f"{ANDROID}-1431028888092-1.7-m-26-hu.wav")
        write(tmp_path / "discomfort" / f"{IOS}-1430742197-1.0-m-04-dc.wav")
        write(tmp_path / "discomfort" / f"{IOS}-1430742198-1.0-m-04-ch.wav")
        write(tmp_path / "discomfort" / f"{IOS}-1430742199-1.0-m-04-ch.wav")
        write(tmp_path / "README.md", "no clip")
        dataset = find_labelled_clips(tmp_path)
        labels = [(clip.label, clip.columns["code"], clip.subject) for clip in dataset.clips]
        assert labels == [
            ("discomfort", "dc", IOS.lower()),
            ("discomfort", "ch", IOS.lower()),
            ("discomfort", "ch", IOS.lower()),
            ("hungry", "hu", ANDROID),
        ]
        assert dataset.problems == (
            f"{tmp_path / 'discomfort'}: 2 of the clips are named ch, cold_hot; "
            "the folder is the label",
        )

    def test_a_name_that_hides_the_phone_is_left_out(self, tmp_path: Path) -> None:
        write(tmp_path / "hungry" / f"{IOS}-1430742197-1.0-m-04-hu.wav")
        write(tmp_path / "tired" / f"{IOS}-1430742198-1.0-m-04-ti.wav")
        odd = write(tmp_path / "tired" / "1430742198-1.0-m-04-ti.wav")
        dataset = find_labelled_clips(tmp_path)
        assert odd.name not in by_name(dataset)
        assert len(dataset.problems) == 1
        assert dataset.problems[0].startswith(f"{odd}: the name must be")
        assert odd.name in by_name(find_labelled_clips(tmp_path, r"(.+)-1\.0"))

    def test_labels_of_ones_own_may_be_given_to_these_clips(self, tmp_path: Path) -> None:
        write(tmp_path / "loud" / f"{IOS}-1430742197-1.0-m-04-hu.wav")
        write(tmp_path / "quiet" / f"{IOS}-1430742198-1.0-m-04-ti.wav")
        dataset = find_labelled_clips(tmp_path)
        assert [clip.label for clip in dataset.clips] == ["loud", "quiet"]
        assert dataset.problems == ()


class TestCheckout:
    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        name = f"{IOS}-1430742197-1.0-m-04-hu"
        write(tmp_path / CLEANED / "hungry" / f"{name}.wav")
        upload(tmp_path / IOS_BUCKET / f"{name}.caf")
        upload(tmp_path / ANDROID_BUCKET / f"{ANDROID}-1431028888092-1.7-f-26-sc.3gp")
        return tmp_path

    def test_the_cleaned_corpus_is_read_alone(self, checkout: Path) -> None:
        dataset = find_labelled_clips(checkout)
        assert [clip.path.suffix for clip in dataset.clips] == [".wav"]
        assert [line.split(":")[0] for line in dataset.problems] == [
            str(checkout / ANDROID_BUCKET),
            str(checkout / IOS_BUCKET),
        ]

    def test_without_it_all_buckets_are(self, checkout: Path) -> None:
        (checkout / CLEANED).rename(checkout.parent / f"{checkout.name}-cleaned")
        dataset = find_labelled_clips(checkout)
        assert [(clip.path.suffix, clip.label) for clip in dataset.clips] == [
            (".3gp", "scared"),
            (".caf", "hungry"),
        ]
        assert dataset.problems == ()


class TestFolderPerClass:
    def test_the_top_folder_is_the_class_and_each_file_a_subject(self, tmp_path: Path) -> None:
        write(tmp_path / "fuss" / "b.MP4")
        write(tmp_path / "fuss" / "day 2" / "a.wav")
        write(tmp_path / "Geschrei" / "a.wav")
        write(tmp_path / "fuss" / ".hidden.wav")
        write(tmp_path / "fuss" / "notes.txt")
        astray = write(tmp_path / "a.wav")
        dataset = find_labelled_clips(tmp_path)
        assert [(clip.label, clip.subject) for clip in dataset.clips] == [
            ("Geschrei", "Geschrei/a.wav"),
            ("fuss", "fuss/b.MP4"),
            ("fuss", "fuss/day 2/a.wav"),
        ]
        assert {clip.subject_source for clip in dataset.clips} == {"file"}
        assert dataset.problems == (f"{astray}: a clip must be in the folder of its class",)

    def test_a_subject_pattern_reads_the_path_below_the_source(self, tmp_path: Path) -> None:
        write(tmp_path / "fuss" / "baby1_a.wav")
        write(tmp_path / "cry" / "baby1_b.wav")
        write(tmp_path / "cry" / f"{IOS}-1430742197-1.0-m-04-hu.wav")
        unknown = write(tmp_path / "cry" / "c.wav")
        dataset = find_labelled_clips(tmp_path, r"/(baby\d|0D1A)")
        assert [(clip.subject, clip.subject_source) for clip in dataset.clips] == [
            ("0D1A", "pattern"),
            ("baby1", "pattern"),
            ("baby1", "pattern"),
        ]
        assert len(dataset.problems) == 1
        assert dataset.problems[0].startswith(f"{unknown}: the subject pattern")

    def test_a_few_donateacry_clips_among_others_keep_their_phone(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            write(tmp_path / "hungry" / f"{name}.wav")
        write(tmp_path / "hungry" / f"{IOS}-1430742197-1.0-m-04-hu.wav")
        write(tmp_path / "tired" / f"{IOS}-1430742198-1.0-m-04-ti.wav")
        dataset = find_labelled_clips(tmp_path)
        assert Counter(clip.subject_source for clip in dataset.clips) == {"file": 3, "pattern": 2}
        assert dataset.problems == ()

    def test_clips_can_be_sent_to_another_process(self, tmp_path: Path) -> None:
        write(tmp_path / "hungry" / f"{IOS}-1430742197-1.0-m-04-hu.wav")
        dataset = find_labelled_clips(tmp_path)
        assert pickle.loads(pickle.dumps(dataset)) == dataset
        assert len(set(dataset.clips)) == 1


class TestManifest:
    @pytest.fixture
    def lab(self, tmp_path: Path) -> Path:
        for name in ("s1/a.wav", "s1/b.wav", "s2/c.wav"):
            write(tmp_path / "lab" / name)
        return tmp_path / "lab"

    def test_it_gives_all_that_is_known_of_a_clip(self, lab: Path) -> None:
        rows = ["Path, Label ,subject,start_s,end_s,split", "s1/a.wav,fuss,Ann,1.5,3,train"]
        rows += ["", "s1/a.wav,cry,Ann,,1.5,train", '"s2/c.wav","cry, loud",Bo,2,,test']
        dataset = find_labelled_clips(write(lab / "m.csv", "\n".join(rows)))
        assert dataset.problems == ()
        assert dataset.clips == (
            LabelledClip(lab / "s1/a.wav", "cry", "Ann", "manifest", None, 1.5, "train"),
            LabelledClip(lab / "s1/a.wav", "fuss", "Ann", "manifest", 1.5, 3.0, "train"),
            LabelledClip(lab / "s2/c.wav", "cry, loud", "Bo", "manifest", 2.0, None, "test"),
        )

    def test_path_and_label_are_enough(self, lab: Path) -> None:
        manifest = write(lab / "lists" / "m.csv", "label,path\ncry,../s1/a.wav\nfuss,../s2/c.wav\n")
        clips = find_labelled_clips(manifest).clips
        assert [(clip.path, clip.label) for clip in clips] == [
            (lab / "s1/a.wav", "cry"),
            (lab / "s2/c.wav", "fuss"),
        ]
        assert {clip.subject_source for clip in clips} == {"file"}
        assert len({clip.subject for clip in clips}) == 2
        assert all(clip.start_s is clip.end_s is clip.split is None for clip in clips)

    def test_a_name_may_have_either_form_of_its_accents(self, lab: Path) -> None:
        write(lab / unicodedata.normalize("NFD", "bébé.wav"))
        rows = unicodedata.normalize("NFC", "path,label\nbébé.wav,cry\n")
        (clip,) = find_labelled_clips(write(lab / "m.csv", rows)).clips
        assert clip.path.is_file()

    def test_stretches_of_a_file_of_nobody_are_of_one_subject(self, lab: Path) -> None:
        rows = "path,label,start_s,end_s\ns1/a.wav,cry,0,1\ns1/../s1/a.wav,fuss,1,2\n"
        clips = find_labelled_clips(write(lab / "m.csv", rows)).clips
        assert [clip.subject for clip in clips] == ["s1/a.wav", "s1/a.wav"]

    def test_a_pattern_serves_where_no_subject_is_named(self, lab: Path) -> None:
        write(lab / "d.wav")
        rows = "path,label,subject\ns1/a.wav,cry,Ann\ns2/c.wav,cry,\nd.wav,cry,\n"
        dataset = find_labelled_clips(write(lab / "m.csv", rows), "^(s.)/")
        assert [(clip.subject, clip.subject_source) for clip in dataset.clips] == [
            ("Ann", "manifest"),
            ("s2", "pattern"),
        ]
        assert len(dataset.problems) == 1
        assert dataset.problems[0].startswith(f"{lab / 'm.csv'}: line 4: ")

    def test_an_empty_clip_is_left_out_by_line(self, lab: Path) -> None:
        write(lab / "empty.wav", b"")
        manifest = write(lab / "m.csv", "path,label\ns1/a.wav,cry\nempty.wav,cry\n")
        dataset = find_labelled_clips(manifest)
        assert len(dataset.clips) == 1
        assert dataset.problems == (
            f"{manifest}: line 3: {lab / 'empty.wav'}: a clip must not be empty",
        )

    def test_a_clip_is_listed_twice_however_its_path_is_written(
        self, lab: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = f"path,label,subject\ns1/a.wav,cry,Ann\n{lab / 's1' / 'a.wav'},cry,Bo\n"
        write(lab / "m.csv", rows)
        monkeypatch.chdir(lab)
        with pytest.raises(AnnotationError, match=r"line 3: .* line 2 has it too"):
            find_labelled_clips("m.csv")

    @pytest.mark.parametrize(
        ("text", "line", "rule"),
        [
            ("file,label\ns1/a.wav,cry\n", 1, "columns path and label"),
            ("path\ns1/a.wav\n", 1, "columns path and label"),
            ("path,label,sex\ns1/a.wav,cry,f\n", 1, "columns path and label"),
            ("path,label,label\ns1/a.wav,cry,fuss\n", 1, "each once"),
            ("path,label\ns1/a.wav,cry,Ann\n", 2, "2 cells"),
            ("path,label\ns1/a.wav,cry\ns1/b.wav,\n", 3, "a label must have 1 to"),
            ("path,label,start_s\ns1/a.wav,cry,soon\n", 2, "number of seconds"),
            ("path,label,epoch_s\ns1/a.wav,cry,2026-12-01\n", 2, "number of seconds"),
            ("path,label,epoch_s\ns1/a.wav,cry,inf\n", 2, "finite number"),
            ("path,label,end_s\ns1/a.wav,cry,nan\n", 2, "between 0 and"),
            ("path,label,start_s\ns1/a.wav,cry,-1\n", 2, "between 0 and"),
            ("path,label,start_s,end_s\ns1/a.wav,cry,3,2\n", 2, "after the start"),
            ("path,label,start_s,end_s\ns1/a.wav,cry,2,2\n", 2, "after the start"),
            ("path,label,end_s\ns1/a.wav,cry,0\n", 2, "after the start"),
            ("path,label\ns1/a.wav,cry\n./s1/a.wav,fuss\n", 3, "line 2 has it too"),
            ("path,label,start_s\ns1/a.wav,cry,\ns1/a.wav,fuss,0\n", 3, "line 2 has it too"),
            (
                "path,label,subject,end_s\ns1/a.wav,cry,Ann,1\ns1/a.wav,cry,Bo,2\n",
                3,
                "one subject; got 'Bo' and, in line 2, 'Ann'",
            ),
            ("path,label,split\ns1/a.wav,cry,train\ns1/b.wav,cry,\n", 3, "every row"),
            (f"path,label\ns1/a.wav,{101 * 'x'}\n", 2, "a label must have 1 to 100 characters"),
            (
                "path,label,subject,split\n"
                "s1/a.wav,cry,Ann,train\ns2/c.wav,cry,Bo,test\ns1/b.wav,cry,Ann,test\n",
                4,
                "one split; 'Ann' is in 'test' and, in line 2, in 'train'",
            ),
            (
                "path,label,end_s,split\ns1/a.wav,cry,1,train\ns1/a.wav,cry,2,test\n",
                3,
                "'s1/a.wav' is in 'test'",
            ),
            ("\n", 1, "must have the columns path and label"),
        ],
    )
    def test_what_is_wrong_is_refused_by_line(
        self, lab: Path, text: str, line: int, rule: str
    ) -> None:
        manifest = write(lab / "m.csv", text)
        with pytest.raises(AnnotationError) as refusal:
            find_labelled_clips(manifest)
        assert str(refusal.value).startswith(f"{manifest}: line {line}: ")
        assert rule in str(refusal.value)
        assert "\n" not in str(refusal.value)

    def test_subjects_by_pattern_may_not_be_in_two_splits_either(self, lab: Path) -> None:
        manifest = write(lab / "m.csv", "path,label,split\ns1/a.wav,x,train\ns1/b.wav,x,test\n")
        assert len(find_labelled_clips(manifest).clips) == 2
        with pytest.raises(AnnotationError, match=r"line 3: .*one split; 's1'"):
            find_labelled_clips(manifest, "^(s.)/")

    def test_missing_files_are_named_together(self, lab: Path) -> None:
        rows = ["path,label", "s1/a.wav,cry", ",cry", f"{'x' * 300}.wav,cry"]
        rows += [f"gone{n}.wav,cry" for n in range(6)]
        manifest = write(lab / "m.csv", "\n".join(rows))
        with pytest.raises(AnnotationError) as refusal:
            find_labelled_clips(manifest)
        message = str(refusal.value)
        assert message.startswith(f"{manifest}: ")
        assert [int(n) for n in re.findall(r"line (\d+)", message)] == [3, 4, 5, 6, 7]
        assert "'gone0.wav'" in message
        assert message.endswith("and 3 more")


def test_sources_without_a_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="nothing is at"):
        find_labelled_clips(tmp_path / "none")
    with pytest.raises(AnnotationError, match="must hold clips"):
        find_labelled_clips(tmp_path)
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name)
    with pytest.raises(AnnotationError, match=r"first of 2 problems: .*a\.wav: .*folder of its"):
        find_labelled_clips(tmp_path)
    with pytest.raises(AnnotationError, match="must hold clips"):
        find_labelled_clips(write(tmp_path / "m.csv", "path,label\n"))


@pytest.mark.parametrize("pattern", ["(", "no group"])
def test_a_subject_pattern_must_be_one(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="subject pattern"):
        find_labelled_clips(tmp_path, pattern)


@pytest.fixture
def donateacry(corpus: Path) -> Path:
    return corpus / "donateacry-corpus"


@pytest.mark.corpus
def test_the_cleaned_corpus_is_the_published_one(donateacry: Path) -> None:
    dataset = find_labelled_clips(donateacry / CLEANED)
    assert len(dataset.clips) == 457
    assert len({clip.subject for clip in dataset.clips}) == 221
    assert Counter(clip.label for clip in dataset.clips) == {
        "belly_pain": 16,
        "burping": 8,
        "discomfort": 27,
        "hungry": 382,
        "tired": 24,
    }
    assert Counter(clip.columns["platform"] for clip in dataset.clips) == {
        "android": 275,
        "ios": 182,
    }
    assert len(dataset.problems) == 1
    assert "discomfort: 7 of the clips are named ch" in dataset.problems[0]
    assert find_labelled_clips(donateacry).clips == dataset.clips


@pytest.mark.corpus
def test_the_platform_read_from_the_epoch_agrees_with_the_case_of_the_id(donateacry: Path) -> None:
    for clip in find_labelled_clips(donateacry / CLEANED).clips:
        written = clip.path.name[:36]
        assert written == (written.upper() if clip.columns["platform"] == "ios" else clip.subject)


@pytest.mark.corpus
def test_the_android_bucket_is_read_whole(donateacry: Path) -> None:
    dataset = find_labelled_clips(donateacry / ANDROID_BUCKET)
    assert dataset.problems == ()
    assert len(dataset.clips) == 712
    assert len({clip.subject for clip in dataset.clips}) == 261
    assert {clip.columns["platform"] for clip in dataset.clips} == {"android"}


@pytest.mark.corpus
def test_the_ios_bucket_is_read_less_its_stubs(donateacry: Path) -> None:
    dataset = find_labelled_clips(donateacry / IOS_BUCKET)
    stubs = [line for line in dataset.problems if "stub" in line]
    odd = [line for line in dataset.problems if "odd name" in line]
    assert (len(stubs), len(odd), len(dataset.problems)) == (9, 2, 11)
    assert len(dataset.clips) == 416 - len(stubs)
    assert len({clip.subject for clip in dataset.clips}) == 150
    assert {clip.columns["platform"] for clip in dataset.clips} == {"ios"}


@pytest.mark.corpus
def test_reasons_of_both_buckets(donateacry: Path, tmp_path: Path) -> None:
    for name in (ANDROID_BUCKET, IOS_BUCKET):
        (tmp_path / name).symlink_to(donateacry / name)
    counts = Counter(clip.label for clip in find_labelled_clips(tmp_path).clips)
    assert counts == {
        "hungry": 742,
        "unknown": 194,
        "tired": 58 + 2 - 9,  # as counted by hand, with the odd names, without the stubs
        "discomfort": 38,
        "belly_pain": 27,
        "lonely": 23,
        "burping": 17,
        "scared": 15,
        "cold_hot": 12,
    }
