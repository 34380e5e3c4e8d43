"""Memory of a process that streams and lives long: what is freed is kept, what stays is not searched for garbage.

By default glibc maps each buffer of 128 KiB and more anew, so that every piece of a blob pays for fresh pages: a
quarter of the CPU seconds of a big copy.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TRIM_THRESHOLD: Final = (-1, 256 * 1024 * 1024)
_TOP_PAD: Final = (-2, 16 * 1024 * 1024)
_MMAP_THRESHOLD: Final = (-3, 32 * 1024 * 1024)
_NEW_OBJECTS: Final = 3000


def keep_freed_memory() -> bool:
    """Let memory that was freed serve the next piece; True when the C library took all of it.

    Nothing happens, and nothing is lost but speed, where there is no such call (musl, macOS) or it refuses.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return all(mallopt(name, value) == 1 for name, value in (_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD))


@contextmanager
def importing() -> Iterator[None]:
    """Have the collector of garbage leave alone what is imported in this block, and all that is there: it stays.

    It looks through all of it again and again otherwise, while it grows and later too; each time all stands still.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_less_often() -> None:
    """Look for garbage at 3,000 new objects instead of 700: requests under way have as many, which go by themselves.

    More would gain little and have the event loop stand still for longer each time.
    """
    gc.set_threshold(_NEW_OBJECTS)
