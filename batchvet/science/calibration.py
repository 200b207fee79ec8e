"""Raw probabilities made honest: what simulated scenes say about how often they are right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from typing import Any

import numpy as np

from batchvet.science.circumstances import Circumstances
from batchvet.science.hypotheses import Hypotheses
from batchvet.science.priors import Priors
from batchvet.vocabulary import EMPIRICAL


@dataclass(frozen=True)
class Calibration:
    """Two numbers for each signal to noise and kind of PRF.

    ``p = (1 - confusion) normalised(raw^sharpness)``, and the confusion goes to the hypothesis "a star that is not in
    the table": sharpness below 1 says that the likelihood is too sure of itself, confusion how often a star that no
    table has looks just like one that it has.
    """

    version: str  #: stored with every probability that was made with it
    snr: tuple[float, ...]  #: joint signal to noise of the nodes, increasing; linear in its log between them
    sharpness: Mapping[str, tuple[float, ...]]  #: prf_source -> one a node
    confusion: Mapping[str, tuple[float, ...]]  #: prf_source -> one a node
    domain: Mapping[str, tuple[float, float]] = field(default_factory=dict)  #: least and most of `Circumstances`
    error_scale: float = 1.0  #: what errors of places are multiplied by: 1, but where a run's own check said otherwise

    def __hash__(self) -> int:
        """Of the version, which never names two different ones."""
        return hash(self.version)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """From the content of a calibration file; what else it holds says how it was made."""
        return cls(
            str(values["version"]),
            tuple(values["snr"]),
            {name: tuple(nodes) for name, nodes in values["sharpness"].items()},
            {name: tuple(nodes) for name, nodes in values["confusion"].items()},
            {name: (least, most) for name, (least, most) in values.get("domain", {}).items()},
        )

    def judged_with(self, priors: Priors) -> dict[str, Any]:
        """What the probabilities depend on, as JSON has it: candidates are judged again when it changes."""
        return {"calibration": self.version, **asdict(priors)}

    def with_error_scale(self, scale: float) -> Calibration:
        """The same with errors of places multiplied by `scale`, in the version too; to a thousandth."""
        scale = round(scale, 3)
        if scale == 1.0:
            return replace(self, error_scale=1.0)
        return replace(self, version=f"{self.version}+errors*{scale:.3f}", error_scale=scale)

    def stretched(self, log_likelihood: Hypotheses, best: float) -> Hypotheses:
        """Log likelihoods as they are where errors of places are `error_scale` times what was thought.

        Parameters
        ----------
        log_likelihood : Hypotheses
        best : float
            Of the dip at the place that explains it best. What a star lacks of it is chi² between its place and that,
            over two, which falls by the scale's square; a star anywhere gains the area that is now within the errors;
            whether there is a dip is no matter of places.
        """
        if self.error_scale == 1.0:
            return log_likelihood
        lacking = np.minimum(log_likelihood.hosts - best, 0.0)
        hosts = log_likelihood.hosts - lacking + lacking / self.error_scale**2
        anywhere = log_likelihood.not_in_table
        wider = min(anywhere + 2.0 * float(np.log(self.error_scale)), max(best, anywhere))
        return Hypotheses.of(hosts, wider, log_likelihood.artefact)

    def holds(self, circumstances: Circumstances) -> bool:
        """Whether the scenes it was made from have such candidates."""
        for name, (least, most) in self.domain.items():
            low, high = getattr(circumstances, name)
            if not (least <= low and high <= most):  # NaN, what nobody knows, is outside
                return False
        return True

    def at(self, snr: float, prf_source: str) -> tuple[float, float]:
        """Sharpness and confusion at a joint signal to noise."""
        where, nodes = np.log(max(snr, 1.0)), np.log(self.snr)
        source = prf_source if prf_source in self.sharpness else EMPIRICAL
        sharpness = float(np.interp(where, nodes, self.sharpness[source]))
        return sharpness, float(np.interp(where, nodes, self.confusion[source]))

    def probabilities(self, log_weight: Hypotheses, snr: float, prf_source: str) -> Hypotheses:
        """Calibrated probabilities of the hypotheses with those raw posterior log weights."""
        sharpness, confusion = self.at(snr, prf_source)
        p = Hypotheses((1.0 - confusion) * log_weight.normalised(sharpness).values)
        return Hypotheses.of(p.hosts, p.not_in_table + confusion, p.artefact)


#: The calibration that ships with the package; `scripts/make_calibration.py` makes it.
DEFAULT = Calibration.from_dict(
    json.loads(files("batchvet.science").joinpath("calibration.json").read_text(encoding="utf-8"))
)
