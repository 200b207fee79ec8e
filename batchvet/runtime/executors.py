"""How work is done: the interface, and the serial executor that all others are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from batchvet.runtime.proof import Asked
from batchvet.vetting.process import measuring

Item = TypeVar("Item")
Result = TypeVar("Result")

#: What is done with one item. Sent to workers, so a module's function or a frozen dataclass with ``__call__``.
Work = Callable[[Item], Result]

#: What stands for the result of an item whose worker died under it again and again.
Lost = Callable[[Item], Result]

#: Whether a result may be the fault of the place where it was made: it is made once more.
Doubtful = Callable[[Result], bool]


def never(result: object) -> bool:
    """No result is in doubt."""
    return False


class Executor(Protocol):
    """Does `work` on every item and yields the results as they come, in any order.

    Items are taken as they can be worked on, so that those still being downloaded may follow.
    """

    @property
    def description(self) -> str:
        """For people: where the work is done."""
        ...

    def ask(self, asked: Asked, tell: Callable[[str], None]) -> None:
        """Let only those work who prove this, and tell of those who do not."""
        ...

    def map(
        self,
        work: Work[Item, Result],
        items: Iterable[Item],
        lost: Lost[Item, Result],
        batch_size: int,
        doubtful: Doubtful[Result] = never,
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with its result."""
        ...


class SerialExecutor:
    """One item after another, in this process."""

    description = "serial, in this process"

    def ask(self, asked: Asked, tell: Callable[[str], None]) -> None:
        """This process is the one that asks."""

    def map(
        self,
        work: Work[Item, Result],
        items: Iterable[Item],
        lost: Lost[Item, Result],
        batch_size: int,
        doubtful: Doubtful[Result] = never,
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) in order; `lost` and `batch_size` are for those who have workers."""
        for item in items:
            with measuring():
                result = work(item)
                if doubtful(result):
                    result = work(item)
            yield item, result
