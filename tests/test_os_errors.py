"""What the system refuses is told in one line."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from cryvision.errors import CryvisionError
from cryvision.os_errors import os_errors

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/.part")


@pytest.mark.parametrize("error", [FULL, shutil.Error([("/tmp/.part", "/tmp/.other", str(FULL))])])
def test_the_reason_is_told_without_temporary_names(error: OSError) -> None:
    with pytest.raises(CryvisionError) as caught, os_errors("cry.mlpackage: cannot be written"):
        raise error
    assert str(caught.value) == f"cry.mlpackage: cannot be written: {os.strerror(errno.ENOSPC)}"


def test_the_reason_why_something_was_not_moved_is_told_whole() -> None:
    with pytest.raises(CryvisionError) as caught, os_errors("cannot be written"):
        raise shutil.Error("Destination path 'x' already exists")
    assert str(caught.value) == "cannot be written: Destination path 'x' already exists"
