"""Words that two processes share, in C and in Python: what is stored is loaded, whole, and nothing beside it."""

import mmap
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from wsadapter import native
from wsadapter.shm import ring

BOTH = [pytest.param(ring.load_in_python, ring.store_in_python, id="python")]
if native.extension is not None:
    BOTH.append(pytest.param(native.extension.load, native.extension.store, id="c"))
Load: TypeAlias = Callable[[Any, int], int]
Store: TypeAlias = Callable[[Any, int, int], None]


@pytest.fixture
def words() -> Iterator[memoryview]:
    with mmap.mmap(-1, 4096) as mapping, memoryview(mapping) as octets, octets.cast("Q") as made:
        yield made


@pytest.mark.parametrize(("load", "store"), BOTH)
@pytest.mark.parametrize("value", [0, 1, 0xFFFFFFFF, 1 << 63, 2**64 - 1])
def test_a_word_comes_back(words: memoryview, load: Load, store: Store, value: int) -> None:
    for index in (0, 16, 511):
        store(words, index, value)
        assert load(words, index) == words[index] == value
    assert sum(word != 0 for word in words) == (3 if value else 0)


@pytest.mark.parametrize(("load", "store"), BOTH)
def test_what_is_no_word_is_refused(words: memoryview, load: Load, store: Store) -> None:
    for index in (512, 1 << 40):
        with pytest.raises(IndexError):
            load(words, index)
        with pytest.raises(IndexError):
            store(words, index, 1)
    for value in (-1, 1 << 64):
        with pytest.raises(ValueError, match=r"."):
            store(words, 0, value)
    with pytest.raises(TypeError):
        store(words.toreadonly(), 0, 1)
    assert load(words.toreadonly(), 0) == 0
    assert not any(words)


@pytest.mark.parametrize(("load", "store"), BOTH)
def test_words_that_are_let_go_of(words: memoryview, load: Load, store: Store) -> None:
    other = words[:]
    other.release()
    with pytest.raises(ValueError, match="released"):
        load(other, 0)
    with pytest.raises(ValueError, match="released"):
        store(other, 0, 1)
