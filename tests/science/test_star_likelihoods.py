"""Every star as the host, all sectors together: against brute force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from batchvet.science.hosts import DEEPEST
from batchvet.science.sky_likelihood import UNSEEN, WRONG
from batchvet.science.star_likelihoods import StarLikelihoods

FLOOR = 3.0  # arcsec, as wide as what a sector alone tells of the place
PRICES, BROAD = (0.0, 0.8), (3.0, 1.5)


@dataclass
class MadeSector:
    """What a sector says of itself, written down from the method's pages."""

    price: float
    broad: float
    alone: bool = False

    @property
    def evidence(self):
        return SimpleNamespace(timing_price=self.price, dip=SimpleNamespace(snr=10.0))

    @property
    def doubt(self):
        otherwise = np.log(WRONG * (1 - UNSEEN[0]) * np.exp(self.broad) + UNSEEN[0])
        return np.log((1 - WRONG) * (1 - UNSEEN[0])), otherwise

    def mixed(self, log_likelihood):
        if self.alone:
            return log_likelihood
        seen = np.log((1 - WRONG) * (1 - UNSEEN[0])) + log_likelihood
        return np.logaddexp(seen, np.log(WRONG * (1 - UNSEEN[0]) * np.exp(self.broad) + UNSEEN[0]))


def made_quadratics():
    """Two stars in two sectors at different rolls; the second stamp does not reach the second star."""
    rng = np.random.default_rng(31)
    turns = [np.array([[0.04, 0.03], [-0.03, 0.04]]), np.array([[-0.02, 0.045], [-0.045, -0.02]])]
    shift = np.stack([np.vstack([np.zeros(2), turn]) for turn in turns])
    score, information = np.zeros((2, 2, 3)), np.zeros((2, 2, 3, 3))
    for star in range(2):
        for sector in range(2):
            root = np.diag([60.0, 40.0, 40.0]) @ (np.eye(3) + 0.15 * rng.normal(size=(3, 3)))
            information[star, sector] = root.T @ root
            # A dip of 0.2, off by a shift of all sectors and by errors of this one's own.
            off = shift[sector] @ [2.0, -3.0] + [0.02, 0.03, -0.02] * rng.normal(size=3)
            score[star, sector] = information[star, sector] @ (0.2 * (np.array([1.0, 0.0, 0.0]) + off))
    nuisance = np.array([np.diag([0.03, 0.02, 0.025]) ** 2, np.diag([0.03, 0.03, 0.015]) ** 2])
    sectors = [MadeSector(price, broad) for price, broad in zip(PRICES, BROAD, strict=True)]
    present = np.array([[True, True], [True, False]])
    nowhere = np.zeros((2, 2, 2)), np.zeros((2, 2))  # no systematic error here is too large for the quadratics
    return StarLikelihoods(sectors, present, score, information, np.zeros_like(score), nuisance, shift, *nowhere)


def by_brute_force(made, star, depth):
    """Sums over fine grids: each sector's own errors within, the shift of all stars without."""
    axis = np.linspace(-5.0, 5.0, 17)
    own = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    own_weight = np.exp(-0.5 * np.sum(own**2, axis=1))
    shared = FLOOR * np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    shared_weight = np.exp(-0.5 * np.sum(shared**2, axis=1) / FLOOR**2)
    total = np.zeros(len(shared))
    for j, sector in enumerate(made.sectors):
        if not made.present[star, j]:
            total += sector.mixed(0.0)
            continue
        errors = own * np.sqrt(np.diag(made.nuisance[j]))
        theta = depth * (np.array([1.0, 0, 0]) + errors + (shared @ made.shift[j].T)[:, None])
        value = theta @ made.score[star, j] - 0.5 * np.einsum(
            "nma,ab,nmb->nm", theta, made.information[star, j], theta, optimize=True
        )
        top = value.max()
        own_sum = np.log(np.exp(value - top) @ own_weight / own_weight.sum()) + top
        total += sector.mixed(own_sum - sector.price)
    top = total.max()
    return np.log(np.exp(total - top) @ shared_weight / shared_weight.sum()) + top


@pytest.mark.parametrize("star", [0, 1])
def test_likelihood_of_a_star_is_the_integral_over_the_shift_that_sectors_share(star):
    made = made_quadratics()
    for depth in (0.18, 0.2, 0.21):
        log_likelihood, _ = made._shared(np.full(2, depth), FLOOR)
        assert log_likelihood[star] == pytest.approx(by_brute_force(made, star, depth), abs=1e-3)


@pytest.mark.parametrize("star", [0, 1])
def test_depth_is_the_one_that_suits_the_star_best(star):
    made = made_quadratics()
    depth, log_likelihood = made.best(FLOOR)
    assert depth == pytest.approx([0.2, 0.2], rel=0.1)
    values = [by_brute_force(made, star, trial) for trial in np.linspace(0.9, 1.1, 21) * depth[star]]
    assert log_likelihood[star] == pytest.approx(max(values), abs=0.02)


@pytest.mark.parametrize("star", [0, 1])
def test_a_lone_sector_is_believed_whatever_it_says(star):
    made = made_quadratics()
    one = {
        name: getattr(made, name)[:, :1] for name in ("present", "score", "information", "shared", "offset", "light")
    }
    of_sector = {"nuisance": made.nuisance[:1], "shift": made.shift[:1]}
    lone = replace(made, sectors=[MadeSector(0.8, 3.0, alone=True)], **one, **of_sector)
    depth, log_likelihood = lone.best(FLOOR)
    assert log_likelihood[star] == pytest.approx(by_brute_force(lone, star, depth[star]), abs=1e-3)


def test_stars_whose_starts_are_the_same_are_followed_once_and_come_out_as_if_each_were_followed():
    made = made_quadratics()
    made.score[1] *= 30.0  # the second star would have to be deeper than total: all of its starts are total eclipses
    own, power = made.of_depth()
    each = np.where(made.present, own / power, np.nan)
    pooled = own.sum(axis=1) / np.maximum(power.sum(axis=1), 1e-300)
    starts = np.array([pooled, np.nanmedian(each, axis=1), np.where(made.present[:, 0], each[:, 0], pooled)])
    assert len(set(starts[:, 0])) > 1 and (starts[:, 1] > DEEPEST).all()
    expected = np.full(2, -np.inf)
    for start in starts:
        for star, depth in enumerate(start):
            alone = made.of_stars(np.array([star]))
            for _ in range(3):
                value, believed = alone._shared(np.clip([depth], 0.0, DEEPEST), FLOOR)
                expected[star] = max(expected[star], value[0])
                depth = np.sum(believed * own[star]) / np.sum(believed * power[star])
    assert made.best(FLOOR)[1] == pytest.approx(expected, rel=1e-12)
