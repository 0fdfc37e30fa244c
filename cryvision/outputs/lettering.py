"""Text in pictures: any text, shown as it is."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.text import Text

# Tried in order for what matplotlib's own font does not hold; only those installed are used.
# fmt: off
_WIDER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Yu Gothic", "Malgun Gothic", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS",
)
# fmt: on


def set_plain(text: Text, content: str) -> None:
    """Show a text as it is: no mathtext, no TeX, and a sign for what no font here can draw."""
    text.set_parse_math(False)
    text.set_usetex(False)
    text.set_fontfamily(families())
    text.set_text(drawable(content))


def families() -> list[str]:
    """Names of the fonts that are tried in order for a character."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _WIDER_FONTS if name in installed)]


def drawable(content: str) -> str:
    """A text with a sign for what none of the fonts can draw."""
    from matplotlib import font_manager

    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families()]
    return "".join(
        char
        if any(font.get_char_index(ord(char)) for font in fonts)
        else "\N{REPLACEMENT CHARACTER}"
        for char in content
    )


def shortened(text: str, longest: int) -> str:
    """A text of at most ``longest`` characters, which keeps its start and its end."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - 1) // 2 :]}"


@functools.lru_cache(maxsize=512)
def lettering(content: str, size_px: int) -> NDArray[np.uint8]:
    """How opaque each pixel of a line of text is, 0 to 255; shape (height, width)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import IdentityTransform

    figure = Figure(dpi=72)  # at which a point is a pixel
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    figure.patch.set_visible(False)
    text = figure.text(1, 0.3 * size_px, "", fontsize=size_px, transform=IdentityTransform())
    set_plain(text, content)
    width_px = max(1, round(text.get_window_extent(canvas.get_renderer()).width)) + 2
    figure.set_size_inches(width_px / 72, round(1.3 * size_px) / 72)
    canvas.draw()
    opacity: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., 3].copy()
    return opacity
