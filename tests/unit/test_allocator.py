"""The allocator is set up where the C library lets us, else nothing happens; what stays is not garbage."""

import ctypes
import gc
import platform
from collections.abc import Callable

import pytest

from replicator.allocator import collect_less_often, importing, keep_freed_memory


class Library:
    """A C library with a `mallopt` that answers as told."""

    def __init__(self, answer: int) -> None:
        self.calls: dict[int, int] = {}
        self._answer = answer
        self.mallopt = self.make()

    def make(self) -> Callable[[int, int], int]:
        def mallopt(name: int, value: int) -> int:
            self.calls[name] = value
            return self._answer

        return mallopt


def test_glibc_takes_it() -> None:
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("answer", [0, 1])
def test_what_is_set_and_whether_it_was_taken(monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    library = Library(answer)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    assert keep_freed_memory() is bool(answer)
    if answer:
        assert library.calls == {-3: 32 << 20, -1: 256 << 20, -2: 16 << 20}


@pytest.mark.parametrize("error", [OSError("no such library"), TypeError("None is no name here")])
def test_without_a_c_library_nothing_happens(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(_name: None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert keep_freed_memory() is False


def test_a_c_library_without_the_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert keep_freed_memory() is False


def test_what_is_imported_is_not_searched_for_garbage() -> None:
    try:
        with importing():
            assert not gc.isenabled()
            stays = {"module": [()]}
        assert gc.isenabled()
        assert not any(one is stays for one in gc.get_objects()), "nothing that is frozen is listed there"
    finally:
        gc.unfreeze()
    assert any(one is stays for one in gc.get_objects())


def test_the_young_are_left_alone_for_longer_and_the_others_as_before() -> None:
    before = gc.get_threshold()
    try:
        collect_less_often()
        assert gc.get_threshold() == (3000, *before[1:])
    finally:
        gc.set_threshold(*before)
