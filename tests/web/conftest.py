"""A server in a process of its own, on a folder with one clip."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the page needs the layer web")
httpx = pytest.importorskip("httpx", reason="the tests of the page need httpx")

from served import DEMO, Served, wait_for  # noqa: E402

FOLDER_CLIP = "cam_20260504_130700.mp4"

Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip whose name says when it was recorded."""
    folder = tmp_path_factory.mktemp("recordings")
    shutil.copy(DEMO, folder / FOLDER_CLIP)
    return folder


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return ``serve(folder, *arguments, temporary=None) -> Served``, which starts a server."""
    running: list[Served] = []

    def start(folder: Path, *arguments: str, temporary: Path | None = None) -> Served:
        temporary = temporary or tmp_path_factory.mktemp("temporary")
        running.append(Served.start(folder, temporary, *arguments))
        return running[-1]

    yield start
    for served in running:
        served.kill()


@pytest.fixture(scope="module")
def served(serve: Serve, clip_folder: Path) -> Served:
    """One server for all tests of a module that leave it as it is."""
    return serve(clip_folder)


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.fixture(scope="module")
def scored(served: Served) -> str:
    """The id of the clip of the folder, once it is scored."""
    with served.client() as client:
        clip = next(one for one in client.get("/api/clips").json() if one["name"] == FOLDER_CLIP)
        job = wait_for(client, client.post(f"/api/clips/{clip['clip_id']}/score").json()["job_id"])
        assert job["status"] == "done"
    return str(clip["clip_id"])


@pytest.fixture(scope="session")
def half_off(make_media: Callable[..., Path]) -> Path:
    """A video of 40 s: 10 s of noise, 20 s of a microphone that is off, and no sound after that."""
    noise, nothing = "anoisesrc=d=10:r=16000:a=0.1", "anullsrc=r=16000:d=20"
    picture = "color=size=64x64:rate=5:d=40"
    return make_media(
        "half-off.mp4",
        *("-f", "lavfi", "-i", noise, "-f", "lavfi", "-i", nothing, "-f", "lavfi", "-i", picture),
        *("-filter_complex", "[0:a][1:a]concat=v=0:a=1[sound]", "-map", "[sound]", "-map", "2:v"),
    )
