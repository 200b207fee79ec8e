"""How other people's servers are asked: what a configuration says of it, without the means of asking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Politeness:
    """How a server is asked."""

    connections: int = 4  #: at once, to one host
    attempts: int = 6  #: before a question is given up
    first_wait_s: float = 1.0  #: after the first fault; doubles with each, and a random part of this is added
    longest_wait_s: float = 60.0  #: between two attempts
    longest_retry_after_s: float = 600.0  #: a server that wants to be left alone for longer is given up
    connect_timeout_s: float = 10.0  #: to be let in
    read_timeout_s: float = 60.0  #: between two pieces of an answer
    slowest_bytes_per_s: float = 1000.0  #: a body that comes slower than this over a read time-out is broken off

    def __post_init__(self) -> None:
        if self.connections < 1 or self.attempts < 1:
            raise ValueError("connections and attempts are at least 1")
        if min(self.first_wait_s, self.longest_wait_s) < 0 or min(self.timeout) <= 0:
            raise ValueError("waits and time-outs are positive")

    @property
    def timeout(self) -> tuple[float, float]:
        """As requests takes it: to connect, and between two pieces of the answer (s)."""
        return self.connect_timeout_s, self.read_timeout_s
