"""A person opens, hears and corrects clips in a browser."""

from __future__ import annotations

import json
import re
import shutil
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from browsers import PHONE, Tab, chromium, drag, timeline_point
from waiting import until

pytest.importorskip("fastapi", reason="the page needs the layer web")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"
N_EVENTS = 8
"""Cries in the clip, as its script has them and the detector finds them."""

LAST_SAVE_SECONDS = 0.5
"""What a page sends as it is left has arrived by then."""

DRAG_TOLERANCE_S = 0.05
"""A pixel of the timeline is 0.02 s wide."""

PINCH_TOLERANCE_S = 0.2
"""On a phone a pixel is 0.04 s wide, and a touch begins a few pixels late."""

PHONE_ROW_PX = 190
"""A clip in the table of a phone: its name and four lines."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def window(browser: Any, served: Any) -> Iterator[Tab]:
    tab = Tab(browser, served.url)
    tab.open("live")
    yield tab
    tab.close()


@pytest.fixture
def ada(window: Tab) -> Iterator[Tab]:
    """The tab of somebody who was asked for her name before."""
    window.reset("Ada")
    yield window
    window.check()


@pytest.fixture
def clip(window: Tab, served: Any, scored: str) -> Iterator[str]:
    """The address of a clip of the folder, which nobody has corrected yet."""
    yield f"clip/{scored}"
    window.page.goto("about:blank")  # which saves what was not yet saved
    time.sleep(LAST_SAVE_SECONDS)
    for path in served.folder.glob("*.corrections.json"):
        path.unlink()


def corrections(served: Any) -> dict[str, Any]:
    (path,) = served.folder.glob("*.corrections.json")
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


def rows(page: Any) -> Any:
    return page.locator("button.event")


def saved(page: Any) -> None:
    expect(page.locator(".save-state")).to_have_text(re.compile("^Saved"))


def ready(page: Any, n_events: int = N_EVENTS) -> Any:
    expect(rows(page)).to_have_count(n_events)
    return page


def test_a_refused_file_shows_why_and_the_next_shows_its_events(ada: Tab, tmp_path: Path) -> None:
    notes = tmp_path / "notes.wav"
    notes.write_text("no sound at all")
    page = ada.open()
    page.set_input_files("#file", notes)
    expect(page.get_by_role("alert")).to_contain_text("This file was refused")
    expect(page.get_by_role("alert")).to_contain_text("notes.wav")
    page.set_input_files("#file", DEMO)
    ready(page)
    expect(page.locator("h1")).to_have_text("demo.mp4")
    expect(page.locator("#honesty")).to_contain_text("no medical device")
    expect(page.locator(".facts")).to_contain_text("Crying 7.6 s in 8 events")


def test_a_clip_that_is_not_scored_is_scored_when_it_is_opened(ada: Tab, served: Any) -> None:
    new = served.folder / "later.mp4"
    new.write_bytes(DEMO.read_bytes())
    try:
        page = ada.open()
        page.get_by_role("link", name="later.mp4").click()
        ready(page)
        expect(page.locator("h1")).to_have_text("later.mp4")
    finally:
        new.unlink()


def test_a_click_on_an_event_plays_it(ada: Tab, clip: str) -> None:
    page = ready(ada.open(clip))
    page.mouse.click(*timeline_point(page, 6.8))
    expect(page.locator("button.event[aria-current]")).to_contain_text("0:06.40")
    expect(page.get_by_label("Time", exact=True)).to_have_text(re.compile(r"^0:0(6\.[4-9]|7)"))
    # It stops where the event ends.
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert page.locator("video").evaluate("v => v.currentTime") == pytest.approx(7.28, abs=0.2)


def test_a_dragged_edge_is_saved_reloaded_and_exported(ada: Tab, served: Any, clip: str) -> None:
    ada.reset("")
    page = ready(ada.open(clip))
    end_s = float(rows(page).first.get_attribute("data-offset"))
    wanted_s = end_s - 0.4
    drag(page, timeline_point(page, end_s), timeline_point(page, wanted_s))
    page.get_by_label("Name", exact=True).fill("Bea")
    page.get_by_role("button", name="Start correcting").click()
    saved(page)
    state = corrections(served)
    assert state["who"] == "Bea"
    (event,) = [one for one in state["events"] if one["id"] == "d1"]
    assert event["offset_s"] == pytest.approx(wanted_s, abs=DRAG_TOLERANCE_S)
    assert event["checked"]
    assert event["origin"] == "detector"

    page.reload()
    ready(page)
    end_s = float(rows(page).first.get_attribute("data-offset"))
    assert end_s == event["offset_s"]
    with page.expect_download() as download:
        page.locator("a.download[data-format=audacity]").click()
    assert f"{end_s:.3f}" in _unpacked(download.value.path())
    expect(page.locator(".measure").first).to_contain_text("Event F1")


def _unpacked(path: Path) -> str:
    import zipfile

    if not zipfile.is_zipfile(path):
        return path.read_text("utf-8")
    with zipfile.ZipFile(path) as archive:
        return "".join(archive.read(name).decode("utf-8") for name in archive.namelist())


def test_events_are_added_labelled_deleted_and_all_of_it_undone(
    ada: Tab, served: Any, clip: str
) -> None:
    page = ready(ada.open(clip))
    drag(page, timeline_point(page, 9.8), timeline_point(page, 10.6))
    ready(page, N_EVENTS + 1)
    page.keyboard.press("2")
    expect(page.locator("button.event[data-label=fuss]")).to_have_count(1)
    page.mouse.click(*timeline_point(page, 4.0))
    page.keyboard.press("Delete")
    ready(page, N_EVENTS)
    saved(page)
    labels = [event["label"] for event in corrections(served)["events"]]
    assert sorted(labels) == ["cry"] * (N_EVENTS - 1) + ["fuss"]
    for _ in range(3):
        page.keyboard.press("Control+z")
    ready(page, N_EVENTS)
    expect(page.locator("button.event[data-label=fuss]")).to_have_count(0)
    page.keyboard.press("Control+Shift+z")
    ready(page, N_EVENTS + 1)
    saved(page)
    assert len(corrections(served)["events"]) == N_EVENTS + 1


def test_the_keyboard_is_enough(ada: Tab, served: Any, clip: str) -> None:
    page = ada.open()
    link = page.locator("a.clip-name").first
    for _ in range(40):
        page.keyboard.press("Tab")
        if link.evaluate("a => a === document.activeElement"):
            break
    page.keyboard.press("Enter")
    ready(page)
    page.keyboard.press("u")  # the least certain event, which nobody has checked
    before = page.locator("button.event[aria-current]").get_attribute("data-onset")
    page.keyboard.press("Period")
    page.keyboard.press("c")
    page.keyboard.press("c")
    saved(page)
    (event,) = [e for e in corrections(served)["events"] if e["checked"]]
    assert event["onset_s"] == pytest.approx(float(before) + 0.02)
    page.keyboard.press("Home")
    page.keyboard.press("a")
    ready(page, N_EVENTS + 1)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next uncertain event")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("+")
    assert page.evaluate("document.querySelector('.clip-page').timeline.span") < 15


@pytest.fixture
def pair(browser: Any, window: Tab, served: Any, clip: str) -> Iterator[tuple[Any, Any]]:
    """The pages of Ada and Ben, on one clip."""
    window.reset("Ada")
    second = Tab(browser, served.url, who="Ben")
    yield ready(window.open(clip)), ready(second.open(clip))
    second.close()


def test_two_people_on_one_clip_lose_nothing(
    window: Tab, served: Any, pair: tuple[Any, Any]
) -> None:
    ada, ben = pair
    rows(ada).nth(0).click()
    ada.keyboard.press("3")
    saved(ada)
    rows(ben).nth(1).click()
    ben.keyboard.press("2")
    saved(ben)
    labels = [event["label"] for event in corrections(served)["events"]]
    assert labels[:3] == ["other", "fuss", "cry"]
    expect(ben.locator(".toasts")).to_contain_text("Ada")
    # Both change the same event: who saves last is asked.
    rows(ada).nth(1).click()
    ada.keyboard.press("3")
    expect(ada.get_by_role("dialog")).to_contain_text("Ben")
    ada.get_by_role("radio").nth(1).check()
    ada.get_by_role("button", name="Save this").click()
    saved(ada)
    assert [event["label"] for event in corrections(served)["events"]][:2] == ["other", "fuss"]
    window.check()


def test_what_cannot_be_saved_is_kept_and_saved_later(ada: Tab, served: Any, clip: str) -> None:
    page = ready(ada.open(clip))
    ada.context.set_offline(True)
    rows(page).first.click()
    page.keyboard.press("2")
    expect(page.locator(".save-state")).to_contain_text("Kept in this browser")
    page.goto("about:blank")
    ada.context.set_offline(False)
    address = f"/api/clips/{clip.removeprefix('clip/')}/corrections"
    # Somebody else corrects the clip, perhaps after what the page sent as it was left.
    with served.client() as client:
        for _ in range(3):
            state = client.get(address).json()
            state["events"][1]["label"] = "other"
            answer = client.put(address, json={**state, "who": "Ben"})
            if answer.status_code != 409:
                break
        assert answer.status_code == 200
    saved(ready(ada.open(clip)))
    labels = [event["label"] for event in corrections(served)["events"]]
    assert labels[:3] == ["fuss", "other", "cry"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_page_that_outlives_its_server_saves_to_the_next_one(
    browser: Any, serve: Any, tmp_path: Path, replaced: bool
) -> None:
    clip = Path(shutil.copy(DEMO, tmp_path / "demo.mp4"))
    first = serve(tmp_path)
    tab = Tab(browser, first.url, who="Ada")
    page = tab.open()
    page.get_by_role("link", name=clip.name).click()
    ready(page)
    first.kill()
    if replaced:
        with wave.open(str(clip), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(32_000))
    rows(page).first.click()
    page.keyboard.press("Delete")
    expect(page.locator(".save-state")).to_contain_text("Kept in this browser")
    serve(tmp_path, "--port", str(first.port))
    if replaced:
        expect(page.locator(".save-state")).to_contain_text("Not saved: the file was replaced")
        page.keyboard.press("Control+z")
        page.keyboard.press("Control+Shift+z")
        expect(page.locator(".save-state")).to_contain_text("Not saved: the file was replaced")
        tab.close()
        assert not list(tmp_path.glob("*.corrections.json"))
        return
    saved(page)
    (path,) = tmp_path.glob("*.corrections.json")
    assert len(json.loads(path.read_text("utf-8"))["events"]) == N_EVENTS - 1
    tab.close()


def test_a_replaced_file_without_crying_is_not_taken_for_another_without_crying(
    browser: Any, serve: Any, tmp_path: Path
) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.05, 4 * lab.RATE_HZ)
    clip = lab.write_wav(tmp_path / "room.wav", hiss)
    first = serve(tmp_path)
    tab = Tab(browser, first.url, who="Ada")
    page = tab.open()
    page.get_by_role("link", name=clip.name).click()
    expect(page.get_by_text("No crying was found.")).to_be_visible()
    first.kill()
    lab.write_wav(clip, 0.2 * np.sin(np.arange(4 * lab.RATE_HZ)))
    drag(page, timeline_point(page, 1.0), timeline_point(page, 2.0))
    expect(rows(page)).to_have_count(1)
    expect(page.locator(".save-state")).to_contain_text("Kept in this browser")
    serve(tmp_path, "--port", str(first.port))
    expect(page.locator(".save-state")).to_contain_text("Not saved: the file was replaced")
    tab.close()
    assert not list(tmp_path.glob("*.corrections.json"))


def test_names_and_labels_are_shown_as_text(ada: Tab, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=document.title=1>"
    upload = tmp_path / f"{hostile}.mp4"
    upload.write_bytes(DEMO.read_bytes())
    ada.reset("<i>Ada</i>")
    page = ada.open()
    page.set_input_files("#file", upload)
    ready(page)
    expect(page.locator("h1")).to_have_text(f"{hostile}.mp4")
    rows(page).first.click()
    page.get_by_role("button", name="Labels", exact=True).click()
    page.get_by_label("Label set").fill(f"cry\n{hostile}")
    page.get_by_role("button", name="Use these labels").click()
    page.keyboard.press("2")
    expect(rows(page).first).to_contain_text(hostile)
    assert page.locator("main img").count() == 0


def test_axe_finds_nothing_serious_in_light_and_dark(ada: Tab, clip: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for view, text in (("open", "Drop a recording"), (clip, "Detected sounds"), ("live", "Listen")):
        page = ada.open(view)
        expect(page.locator("main")).to_contain_text(text)
        if view == clip:
            rows(page).first.click()
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            # Without motion no colour is caught between two themes.
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            expect(page.locator("html")).to_have_attribute("data-theme", scheme)
            options = {"resultTypes": ["violations"], **rules}
            found = axe.run(page, options=options).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            nodes = [(one["id"], node["html"][:120]) for one in serious for node in one["nodes"]]
            assert nodes == [], (view, scheme)


def test_a_phone_is_wide_enough(browser: Any, served: Any, clip: str) -> None:
    phone = Tab(browser, served.url, PHONE, has_touch=True, is_mobile=True)
    for view, text in (("open", "Choose a file"), (clip, "Detected sounds"), ("live", "Listen")):
        page = phone.open(view)
        expect(page.locator("main")).to_contain_text(text)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], view
    row = phone.open().locator(".table tbody tr", has=page.locator(".status.done")).first
    assert row.bounding_box()["height"] < PHONE_ROW_PX
    page = ready(phone.open(clip))
    page.touchscreen.tap(*timeline_point(page, 6.8, "spectrogram"))
    expect(page.locator("button.event[aria-current]")).to_contain_text("0:06.40")
    expect(page.locator("#honesty")).to_be_in_viewport()
    phone.close()


def test_the_theme_can_be_chosen_and_stays(ada: Tab) -> None:
    page = ada.open()
    page.emulate_media(color_scheme="light")
    theme = page.locator("#theme")
    theme.click()
    theme.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_labels_in_the_list_follow_the_theme(ada: Tab, clip: str) -> None:
    page = ada.open(clip)
    page.reload()  # a theme that was chosen before is forgotten
    chip = ready(page).locator("button.event .label-chip").first
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        colours.append(chip.evaluate("chip => getComputedStyle(chip).borderLeftColor"))
    assert colours == ["rgb(217, 122, 0)", "rgb(246, 168, 58)"]


def test_two_fingers_zoom_and_keep_their_place(browser: Any, served: Any, clip: str) -> None:
    phone = Tab(browser, served.url, PHONE, has_touch=True, is_mobile=True)
    page = ready(phone.open(clip))
    left, y = timeline_point(page, 5.0, "wave")
    right, _ = timeline_point(page, 10.0, "wave")
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *places: float) -> None:
        points = [{"x": x, "y": y, "id": number} for number, x in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", left, right)
    for step in (20, 40, 60):
        fingers("touchMove", left - step, right + step)
    fingers("touchEnd")
    times = [
        page.evaluate(
            """x => { const host = document.querySelector('.timeline')
            return document.querySelector('.clip-page').timeline.time(
                x - host.getBoundingClientRect().left) }""",
            x,
        )
        for x in (left - 60, right + 60)
    ]
    assert times == pytest.approx([5.0, 10.0], abs=PINCH_TOLERANCE_S)
    phone.close()


@pytest.mark.parametrize("width", [710, 900, 1000, 1280])
def test_the_table_fits_the_window(ada: Tab, clip: str, width: int) -> None:
    page = ada.open()
    page.set_viewport_size({"width": width, "height": 800})
    expect(page.locator(".clip-name").first).to_be_visible()
    table = page.locator(".table-scroll").first
    assert table.evaluate("e => e.scrollWidth - e.clientWidth") == 0
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_table_says_what_was_too_quiet_and_what_was_not_heard(
    ada: Tab, served: Any, make_media: Any, half_off: Path
) -> None:
    off = Path(shutil.copy(half_off, served.folder / "cam_20260601_120000.mp4"))
    quiet = make_media("quiet.wav", "-f", "lavfi", "-i", "anullsrc=r=16000:d=30")
    silent = served.folder / "cam_20260601_150000.wav"
    try:
        page = ada.open()
        row = page.locator("tr", has_text=off.name)
        expect(row).to_have_count(1)  # the folder is listed every few seconds
        page.get_by_role("button", name="Score all").click()
        expect(row).to_contain_text("50 % too quiet")
        expect(row).to_contain_text("25 % not heard")
        hours = page.locator(".heatmap tbody tr", has_text="2026-06-01").locator("td")
        expect(hours.nth(12)).to_have_class("level-0")
        # The map has it though nothing is known of its crying, as before it was scored.
        shutil.copy(quiet, silent)
        page.get_by_role("button", name=f"Score {silent.name}").click()
        expect(page.locator("tr", has_text=silent.name)).to_contain_text("100 % too quiet")
        expect(hours.nth(15)).to_have_class("unknown")
        expect(hours.nth(15)).to_have_text("0.5 min too quiet to be scored")
        page.get_by_role("link", name=silent.name).click()
        expect(page.locator(".facts")).to_contain_text("100 % too quiet")
        expect(page.locator(".result")).to_contain_text("Nothing was scored.")
    finally:
        off.unlink()
        silent.unlink(missing_ok=True)


def test_a_table_of_which_nothing_was_scored_does_not_say_how_much_crying_there_is(
    browser: Any, serve: Any, tmp_path: Path
) -> None:
    lab.write_wav(tmp_path / "off.wav", np.zeros(2 * lab.RATE_HZ))
    tab = Tab(browser, serve(tmp_path).url)
    page = tab.open()
    page.get_by_role("button", name="Score off.wav").click()
    expect(page.get_by_text("1 clip, 1 scored", exact=True)).to_be_visible()
    tab.close()


def test_faces_are_framed_and_have_a_lane(
    browser: Any, serve: Any, make_media: Any, corpus: Path, monkeypatch: Any, tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    from skimage import io

    model = corpus / "models" / "face_detection_yunet_2026may.onnx"
    monkeypatch.setenv("CRYVISION_FACE_MODEL", str(model))
    io.imsave(tmp_path / "portrait.png", data.astronaut()[:360, :480])
    portrait = ("-loop", "1", "-i", str(tmp_path / "portrait.png"), "-i", str(DEMO))
    made = make_media(
        "portrait.mp4", *portrait, "-map", "0:v", "-map", "1:a", "-t", "3", "-pix_fmt", "yuv420p"
    )
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(made, folder / "portrait.mp4")
    tab = Tab(browser, serve(folder).url)
    page = tab.open()
    page.get_by_role("link", name="portrait.mp4").click()
    # The page's policy forbids playwright's own way of waiting.
    has_faces = "Boolean(document.querySelector('.clip-page')?.timeline?.lane('face'))"
    until(lambda: page.evaluate(has_faces))
    found = page.evaluate("document.querySelector('.clip-page').timeline.clip.faces.found")
    assert len(found["time_s"]) == pytest.approx(3 / found["every_s"], abs=1)
    middle = [(x + w / 2, y + h / 2) for x, y, w, h in found["boxes"]]
    assert middle[0] == pytest.approx((223, 130), abs=15)  # the astronaut's nose
    page.keyboard.press("ArrowRight")
    is_drawn = """() => { const canvas = document.querySelector('.faces')
        return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
            .data.some(value => value) }"""
    until(lambda: page.evaluate(is_drawn))
    tab.close()


def test_a_training_is_still_shown_after_a_look_at_a_clip(ada: Tab, clip: str) -> None:
    page = ready(ada.open(clip))
    rows(page).first.click()
    page.keyboard.press("c")
    saved(page)
    page = ada.open()
    page.get_by_role("button", name="Train a detector").click()
    page.get_by_role("button", name="Train", exact=True).click()
    progress = page.get_by_role("progressbar", name="Progress of training")
    expect(progress).to_be_visible()
    ready(ada.open(clip))
    ada.open()
    expect(progress).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".training")).to_contain_text("Cancelled.")


def test_the_next_uncertain_event_goes_through_all_that_are_not_checked(
    ada: Tab, clip: str
) -> None:
    page = ready(ada.open(clip))
    seen = []
    for _ in range(N_EVENTS + 1):
        page.keyboard.press("u")
        seen.append(page.locator("button.event[aria-current]").get_attribute("data-id"))
    assert len(set(seen)) == N_EVENTS
    assert seen[-1] == seen[0]


def test_undo_takes_back_nothing_of_somebody_else(served: Any, pair: tuple[Any, Any]) -> None:
    ada, ben = pair
    rows(ada).nth(0).click()
    ada.keyboard.press("3")
    saved(ada)
    rows(ben).nth(1).click()
    ben.keyboard.press("2")
    expect(ben.locator("button.event[data-label=other]")).to_have_count(1)
    saved(ben)
    ben.keyboard.press("Control+z")
    expect(ben.locator("button.event[data-label=fuss]")).to_have_count(0)
    saved(ben)
    assert [event["label"] for event in corrections(served)["events"]][:2] == ["other", "cry"]


def test_a_file_that_was_edited_by_other_means_is_not_overwritten(
    ada: Tab, served: Any, clip: str
) -> None:
    page = ready(ada.open(clip))
    rows(page).nth(0).click()
    page.keyboard.press("2")
    saved(page)
    (path,) = served.folder.glob("*.corrections.json")
    data = corrections(served)
    data["events"][1]["label"] = "other"
    path.write_text(json.dumps(data), "utf-8")
    rows(page).nth(2).click()
    page.keyboard.press("3")
    expect(page.locator("button.event[data-label=other]")).to_have_count(2)
    saved(page)
    labels = [event["label"] for event in corrections(served)["events"]]
    assert labels[:3] == ["fuss", "other", "other"]


def test_a_timeline_without_sound_is_not_stretched(ada: Tab, make_media: Any) -> None:
    picture = make_media("mute.mp4", "-f", "lavfi", "-i", "color=size=64x64:rate=5:d=3")
    page = ada.open()
    page.set_input_files("#file", picture)
    expect(page.locator(".timeline canvas")).to_have_count(2)
    drawn, shown = page.evaluate(
        """() => {
            const canvas = document.querySelector('.timeline canvas')
            return [canvas.height / devicePixelRatio, canvas.clientHeight]
        }"""
    )
    assert drawn == pytest.approx(shown, abs=1)


def test_no_letter_of_a_name_is_cut_in_the_table(ada: Tab, served: Any) -> None:
    named = served.folder / "baby \U0001f476 #1 %41?&.mp4"
    shutil.copy(DEMO, named)
    try:
        ends = ada.open().locator(f'a[aria-label="{named.name}"] .name-end')
        expect(ends).to_have_text("\U0001f476 #1 %41?&.mp4")
    finally:
        named.unlink()
