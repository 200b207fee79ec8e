"""How work is done: the interface, and the serial executor that all others are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from batchvet.vetting.threads import one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

#: What is done with one item. Sent to workers, so a module's function or a frozen dataclass with ``__call__``.
Work = Callable[[Item], Result]

#: What stands for the result of an item whose worker died under it again and again.
Lost = Callable[[Item], Result]


class Executor(Protocol):
    """Does `work` on every item and yields the results as they come, in any order.

    Items are taken as they can be worked on, so that those still being downloaded may follow.
    """

    @property
    def description(self) -> str:
        """For people: where the work is done."""
        ...

    def map(
        self, work: Work[Item, Result], items: Iterable[Item], lost: Lost[Item, Result], batch_size: int
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with its result."""
        ...


class SerialExecutor:
    """One item after another, in this process."""

    description = "serial, in this process"

    def map(
        self,
        work: Work[Item, Result],
        items: Iterable[Item],
        lost: Lost[Item, Result],
        batch_size: int,
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) in order; `lost` and `batch_size` are for those who have workers."""
        for item in items:
            with one_thread():
                result = work(item)
            yield item, result
