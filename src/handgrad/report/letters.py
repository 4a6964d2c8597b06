"""Letters that the font of a figure lacks: taken from another installed font, or said once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

_BOXES = "Last Resort"  # its pictures of letters are boxes
_MISSING = re.compile(r"Glyph (\d+) .*missing from font")


def missing_letters(said: Iterable[warnings.WarningMessage]) -> set[str]:
    """Return the letters that matplotlib's warnings call missing, and pass other warnings on."""
    letters = set()
    for warning in said:
        found = _MISSING.match(str(warning.message))
        if found:
            letters.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return letters


def take_from_other_fonts(figure: Figure, letters: set[str]) -> bool:
    """Let the texts of `figure` take `letters` from installed fonts, and return whether one has some."""
    left, families = set(letters), []
    known = font_manager.fontManager.ttflist
    fonts = [font for font in known if font.weight == 400 and not font.name.startswith(_BOXES)]
    for entry in sorted(fonts, key=lambda entry: (entry.style != "normal", entry.fname)):
        try:
            font = font_manager.get_font(entry.fname)
        except (OSError, RuntimeError):  # a font file that is damaged or gone
            continue
        if has := {letter for letter in left if font.get_char_index(ord(letter))}:
            left -= has
            families.append(entry.name)
        if not left:
            break
    for text in figure.findobj(Text) if families else ():
        text.set_fontfamily([*text.get_fontfamily(), *families])
    return bool(families)


def say_missing(letters: set[str]) -> None:
    """Warn of letters that no installed font has."""
    if letters:
        shown = " ".join(sorted(letters)[:10])
        warnings.warn(
            f"no installed font has the letters {shown}; pictures show boxes", stacklevel=3
        )
