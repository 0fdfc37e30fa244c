"""Fetches donateacry-corpus, for those who have no recordings of their own."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from cryvision.datasets.annotated import first_few, visible_files
from cryvision.datasets.labelled import CLEANED_FOLDER
from cryvision.download import cache_folder, download
from cryvision.errors import DownloadError

log = logging.getLogger(__name__)

COMMIT = "6baf5aca0460964ad072653585837f968a87c2af"
"""The state of github.com/gveres/donateacry-corpus that all published figures are of."""

CORPUS_SHA256 = "757e39cb29b98365988383b989a4107b306dc61e94c836252333182e241691c3"
"""What `corpus_digest` gives for the cleaned corpus at that commit.

Computed from a checkout of the commit: 457 clips and the README, 50,625,064 bytes, to which git
gives the tree aa0bb0559d8777dabdd3f8833b2fb3b16af580fa. The hashes that GitHub lists were not
compared when this was written; each fetch does so, file by file.
"""

BASE_URL = f"https://raw.githubusercontent.com/gveres/donateacry-corpus/{COMMIT}"
TREE_URL = f"https://api.github.com/repos/gveres/donateacry-corpus/git/trees/{COMMIT}?recursive=1"

LICENCE = (
    "fetching github.com/gveres/donateacry-corpus (51 MB), made available under the Open Database "
    "License 1.0, http://opendatacommons.org/licenses/odbl/1.0/, its contents under the Database "
    "Contents License 1.0, http://opendatacommons.org/licenses/dbcl/1.0/"
)

_LISTING = ".listing.json"
"""Kept beside the corpus, so that going on and mending need not ask for it again."""

_PATH = re.compile(rf"{CLEANED_FOLDER}/(?:[a-z_]+/)?[A-Za-z0-9][A-Za-z0-9._-]*")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class _ListedFile:
    path: str
    git_sha1: str
    n_bytes: int


def fetch_donateacry() -> Path:
    """Fetch the cleaned corpus, about 51 MB, unless it is there already, whole and unaltered.

    The names come from GitHub's listing of the pinned commit, each file is checked against its hash
    there, and all together against a digest pinned here. An interrupted fetch goes on where it
    stopped; nothing is sent but the requests for the files. The corpus's own folder, which is
    returned, lies in one of `cache_folder`; files in it that should be other ones are replaced.

    Raises
    ------
    DownloadError
        If the corpus cannot be fetched or is not the pinned one.
    """
    base = cache_folder() / f"donateacry-{COMMIT[:7]}"
    corpus = base / CLEANED_FOLDER
    by_hand = (
        f"run it again to go on, or put {CLEANED_FOLDER} of github.com/gveres/donateacry-corpus at "
        f"{COMMIT[:7]} by hand into {base}"
    )
    if corpus_digest(corpus) == CORPUS_SHA256:
        return corpus
    log.info(LICENCE)
    listing = download(TREE_URL, base / _LISTING, by_hand=by_hand)
    files = _read_listing(listing)
    for file in files:
        url = f"{BASE_URL}/{urllib.parse.quote(file.path)}"
        target, n_file, sha1 = base / file.path, file.n_bytes, file.git_sha1
        download(url, target, git_blob_sha1=sha1, size_bytes=n_file, by_hand=by_hand)
    _check_whole(corpus, {base / file.path for file in files}, listing)
    return corpus


def corpus_digest(folder: Path) -> str:
    """Sum up a folder: SHA-256 over path, length and bytes of each file, sorted by path.

    Hidden files do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(_files_of(folder), key=lambda path: path.relative_to(folder).as_posix()):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DownloadError(
                f"{path}: the file could not be read: {error.strerror}; remove it to fetch it again"
            ) from error
        digest.update(
            f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode(
                "utf-8", "surrogateescape"
            )
        )
        digest.update(content)
    return digest.hexdigest()


def _files_of(folder: Path) -> list[Path]:
    return [path for group in visible_files(folder, []) for path in group if path.suffix != ".part"]


def _read_listing(listing: Path) -> list[_ListedFile]:
    """Read what GitHub lists of the corpus's folder; nothing in it is trusted."""
    try:
        tree = json.loads(listing.read_bytes())
        if tree["truncated"]:
            raise ValueError("a listing that was cut short")
        files = [
            _ListedFile(str(entry["path"]), str(entry["sha"]), int(entry["size"]))
            for entry in tree["tree"]
            if entry["type"] == "blob" and str(entry["path"]).startswith(f"{CLEANED_FOLDER}/")
        ]
        for file in files:
            if not (_PATH.fullmatch(file.path) and _GIT_SHA1.fullmatch(file.git_sha1)):
                raise ValueError(f"{file.path:.200} with the hash {file.git_sha1:.80}")
        if not files:
            raise ValueError(f"nothing of {CLEANED_FOLDER}")
    except (OSError, ValueError, TypeError, LookupError) as error:
        listing.unlink(missing_ok=True)
        raise DownloadError(
            f"{TREE_URL} must list the files as GitHub does; got {error!r:.200}"
        ) from error
    return files


def _check_whole(corpus: Path, listed: set[Path], listing: Path) -> None:
    extra = sorted(set(_files_of(corpus)) - listed)
    if extra:
        names = first_few([str(path) for path in extra], 1)
        raise DownloadError(f"{corpus} must hold the corpus alone; remove {names}")
    digest = corpus_digest(corpus)
    if digest != CORPUS_SHA256:
        listing.unlink(missing_ok=True)
        raise DownloadError(
            f"{corpus} must have the digest {CORPUS_SHA256}; got {digest}: {TREE_URL} lists other "
            "files than those of the pinned commit"
        )
