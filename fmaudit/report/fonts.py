"""Which characters no installed font can draw, asked of fontconfig, as the PDF engine does."""

from __future__ import annotations

import ctypes
import ctypes.util
import unicodedata
from collections.abc import Iterable
from typing import Any

_LIBRARIES = ("libfontconfig.so.1", "libfontconfig.1.dylib", "libfontconfig-1.dll")
_DRAWN_CATEGORIES = frozenset("LNPS")
_ASCII_END = 0x80


def uncovered_characters(text: str) -> tuple[str, ...]:
    """The characters of ``text`` that no scalable font of this machine covers, sorted.

    Empty when fontconfig cannot be asked: the PDF engine, which needs it too, says so itself.
    """
    wanted = sorted(
        char
        for char in set(text)
        if ord(char) >= _ASCII_END and unicodedata.category(char)[0] in _DRAWN_CATEGORIES
    )
    library = _fontconfig()
    if library is None or not wanted:
        return ()
    return tuple(_without_font(library, wanted))


def _without_font(library: Any, wanted: Iterable[str]) -> list[str]:
    missing = list(wanted)
    config = library.FcInitLoadConfigAndFonts()
    if not config:
        return []
    try:
        fonts = library.FcConfigGetFonts(config, 0)
        if not fonts:
            return missing
        for place in range(fonts.contents.count):
            if not missing:
                break
            charset = _charset(library, fonts.contents.fonts[place])
            if charset:
                missing = [char for char in missing if not library.FcCharSetHasChar(charset, ord(char))]
    finally:
        library.FcConfigDestroy(config)
    return missing


def _charset(library: Any, pattern: int) -> ctypes.c_void_p | None:
    scalable, charset = ctypes.c_int(0), ctypes.c_void_p()
    if library.FcPatternGetBool(pattern, b"scalable", 0, ctypes.byref(scalable)) or not scalable.value:
        return None
    if library.FcPatternGetCharSet(pattern, b"charset", 0, ctypes.byref(charset)):
        return None
    return charset


class _FontSet(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int),
        ("allocated", ctypes.c_int),
        ("fonts", ctypes.POINTER(ctypes.c_void_p)),
    ]


def _fontconfig() -> Any | None:
    for name in (*_LIBRARIES, ctypes.util.find_library("fontconfig")):
        if not name:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.FcInitLoadConfigAndFonts.restype = ctypes.c_void_p
        library.FcConfigGetFonts.restype = ctypes.POINTER(_FontSet)
        library.FcConfigGetFonts.argtypes = [ctypes.c_void_p, ctypes.c_int]
        library.FcConfigDestroy.argtypes = [ctypes.c_void_p]
        for function in (library.FcPatternGetBool, library.FcPatternGetCharSet):
            function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
        library.FcCharSetHasChar.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        return library
    return None
