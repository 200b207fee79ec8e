"""Candidates are judged again when what their probabilities depend on changes, and only then."""

from __future__ import annotations

import json

import pytest

from batchvet.api import run
from batchvet.errors import RunError


def test_another_prior_judges_anew_without_any_pixels(config):
    usual = run(config).candidates.set_index("toi")
    doubtful = run(config.model_copy(update={"prior_target": 0.05})).candidates.set_index("toi")
    seen = usual["p_target"].notna()
    assert seen.any()
    assert (doubtful.loc[seen, "prior_target"] <= usual.loc[seen, "prior_target"]).all()
    assert (doubtful.loc[seen, "p_target"] <= usual.loc[seen, "p_target"] + 1e-12).all()
    assert (doubtful.loc[seen, "p_target"] < usual.loc[seen, "p_target"]).any()
    assert (doubtful.loc[seen, "log_likelihood_target"] == usual.loc[seen, "log_likelihood_target"]).all()
    log = [json.loads(line)["event"] for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert log.count("row") == len(run(config.model_copy(update={"prior_target": 0.05})).sectors)


def test_tables_of_another_format_are_not_mixed_with_new_rows(config):
    run(config)
    plan = config.output / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"format_version": 1}))
    with pytest.raises(RunError, match=r"format 1.*--output"):
        run(config)
