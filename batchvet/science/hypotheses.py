"""The answers to "whose dip is it?", and a number for each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchvet.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """One number for each hypothesis: a log weight, or a probability."""

    values: FloatArray  #: of each host of the table, then a star that is not in the table, then an artefact

    @classmethod
    def of(cls, hosts: FloatArray, not_in_table: float, artefact: float) -> Hypotheses:
        """From the named parts."""
        return cls(np.concatenate([hosts, [not_in_table, artefact]]))

    @property
    def hosts(self) -> FloatArray:
        """Of each host of the table, [host]."""
        return self.values[:-2]

    @property
    def not_in_table(self) -> float:
        """Of a star that is not in the table."""
        return float(self.values[-2])

    @property
    def artefact(self) -> float:
        """Of an artefact."""
        return float(self.values[-1])

    @property
    def best_star(self) -> int | None:
        """Number of the host with the highest value; None where a star that is not in the table has a higher one."""
        best = int(np.argmax(self.values[:-1]))
        return best if best < len(self.hosts) else None

    def normalised(self, sharpness: float = 1.0) -> Hypotheses:
        """Probabilities that sum to 1, from log weights times `sharpness`."""
        return Hypotheses(normalised(sharpness * self.values))


def normalised(log_weight: FloatArray) -> FloatArray:
    """Probabilities that sum to 1."""
    weight = np.exp(log_weight - np.max(log_weight))
    probabilities: FloatArray = weight / weight.sum()
    return probabilities
