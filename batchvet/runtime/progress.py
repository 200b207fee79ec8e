"""What a run says while it works. The default says nothing; the command line shows bars."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of phases and of what is done in them."""

    def start(self, phase: str, total: int | None) -> None:
        """A phase begins, with so many things to do (None: not known)."""
        ...

    def advance(self, n: int = 1, failed: int = 0, n_bytes: int = 0) -> None:
        """So many are done, and of these so many went wrong; so many bytes came over the network."""
        ...

    def say(self, text: str) -> None:
        """Something that people want to know, such as the dashboard's address."""
        ...


class Silent:
    """Says nothing."""

    def start(self, phase: str, total: int | None) -> None: ...

    def advance(self, n: int = 1, failed: int = 0, n_bytes: int = 0) -> None: ...

    def say(self, text: str) -> None: ...
