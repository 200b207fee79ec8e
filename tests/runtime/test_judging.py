"""Candidates are judged again when what their probabilities depend on changes, and only then."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from same_tables import same_tables
from test_run import copied

from batchvet.api import run
from batchvet.errors import RunError
from batchvet.results.candidate_rows import WAITING
from batchvet.runtime import judging
from batchvet.runtime.executors import SerialExecutor
from batchvet.runtime.progress import Silent
from batchvet.runtime.status import run_status
from batchvet.vetting import judge


def test_another_prior_judges_anew_without_any_pixels(done_config):
    usual = run(done_config).candidates.set_index("toi")
    doubtful = run(done_config.model_copy(update={"prior_target": 0.05})).candidates.set_index("toi")
    seen = usual["p_target"].notna()
    assert seen.any()
    assert (doubtful.loc[seen, "prior_target"] <= usual.loc[seen, "prior_target"]).all()
    assert (doubtful.loc[seen, "p_target"] <= usual.loc[seen, "p_target"] + 1e-12).all()
    assert (doubtful.loc[seen, "p_target"] < usual.loc[seen, "p_target"]).any()
    assert (doubtful.loc[seen, "log_likelihood_target"] == usual.loc[seen, "log_likelihood_target"]).all()
    log = [json.loads(line)["event"] for line in (done_config.output / "log.jsonl").read_text().splitlines()]
    assert log.count("row") == len(run(done_config.model_copy(update={"prior_target": 0.05})).sectors)


def test_tables_of_another_format_are_not_mixed_with_new_rows(done_config):
    run(done_config)
    plan = done_config.output / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"format_version": 1}))
    with pytest.raises(RunError, match=r"format 1.*--output"):
        run(done_config)


@pytest.fixture
def judged(monkeypatch) -> list[str]:
    """Names of the candidates that were judged."""
    names: list[str] = []
    usual = judge.Judge.__call__

    def noting(self, judgement):
        names.append(judgement.toi)
        return usual(self, judgement)

    monkeypatch.setattr(judge.Judge, "__call__", noting)
    return names


def events(config, name: str) -> list[dict]:
    lines = [json.loads(line) for line in (config.output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


def test_a_candidate_that_cannot_be_judged_is_a_row_and_the_others_are_judged(config, whole, monkeypatch, judged):
    usual, bad = judge.vet_candidate, []

    def singular(evidence, calibration, priors):
        bad[:] = bad or [evidence[0].dip.snr]
        if evidence[0].dip.snr == bad[0]:
            raise np.linalg.LinAlgError("eigenvalues did not converge")
        return usual(evidence, calibration, priors)

    monkeypatch.setattr(judge, "vet_candidate", singular)
    done = run(config)
    (row,) = done.not_judged.to_dict("records")
    assert (row["verdict"], row["error_kind"], list(row["flag_names"])) == (
        "INCONCLUSIVE",
        "internal",
        ["JUDGING_FAILED"],
    )
    assert "eigenvalues did not converge" in row["error"]
    assert not done.is_finished
    assert [one["toi"] for one in run_status(config.output)["not_judged"]] == [row["toi"]]
    assert len(events(config, "not judged")) == 1
    assert len(done.candidates) == len(pd.read_parquet(whole / "candidates.parquet"))
    judged.clear()
    monkeypatch.setattr(judge, "vet_candidate", usual)
    monkeypatch.setattr("batchvet.runtime.run.open_executor", in_this_process)
    assert run(config).is_finished
    assert judged == [row["toi"]]
    assert same_tables(config.output, whole)


@contextmanager
def in_this_process(settings, **options):
    """Instead of the workers that judge what may end a process."""
    yield SerialExecutor()


def test_one_changed_input_judges_one_candidate(config, tmp_path, judged):
    config, files = copied(config, tmp_path)
    run(config)
    everybody = sorted(judged)
    judged.clear()
    run(config)
    assert judged == []
    with fits.open(files[0], mode="update") as hdus:
        hdus[1].data["FLUX"] *= 1.001
        tic = hdus[0].header["TICID"]
    rows = run(config).candidates
    assert sorted(judged) == sorted(rows.loc[rows["tic"] == tic, "toi"])
    assert 0 < len(judged) < len(everybody)


def test_a_run_that_is_interrupted_while_it_judges_goes_on_where_it_stopped(done_config, whole, judged):
    class Interrupting(Silent):
        phase = ""

        def start(self, phase, total):
            self.phase = phase

        def advance(self, n=1, failed=0, n_bytes=0):
            if self.phase == "Judging candidates":
                raise KeyboardInterrupt

    run(done_config.model_copy(update={"prior_target": 0.05}))
    judged.clear()
    with pytest.raises(KeyboardInterrupt):
        run(done_config, progress=Interrupting())
    assert len(judged) == 1 and (done_config.output / WAITING).is_dir()
    assert run(done_config).is_finished
    assert len(judged) == len(set(judged)) > 1
    assert same_tables(done_config.output, whole)


def test_evidence_is_read_a_few_rows_at_a_time(done_config, whole, monkeypatch):
    monkeypatch.setattr(judging, "_ROWS_AT_ONCE", 1)
    read = []
    usual = judging.gathered

    def noting(directory, table, index, columns=None):
        read.append(len(index))
        return usual(directory, table, index, columns)

    run(done_config.model_copy(update={"prior_target": 0.05}))
    monkeypatch.setattr(judging, "gathered", noting)
    assert same_tables(run(done_config).directory, whole)
    assert max(read) <= 2 < sum(read)  # the sectors of one candidate


def test_deleted_candidates_are_judged_again_and_nothing_else_is_done(done_config, whole):
    run(done_config)
    (done_config.output / "candidates.parquet").unlink()
    shutil.rmtree(done_config.cache)
    assert run(done_config.model_copy(update={"sources": ()})).is_finished
    assert same_tables(done_config.output, whole)


class DeadlyJudging(SerialExecutor):
    """Workers die, or hang until they are ended, under the judging of one candidate."""

    def map(self, work, items, lost, batch_size, doubtful=lambda result: False):
        for number, item in enumerate(items):
            yield item, work(item) if number else lost(item)


def test_a_candidate_whose_judging_kills_or_hangs_is_a_row_and_is_tried_again(config, whole, monkeypatch):
    @contextmanager
    def deadly(settings, **options):
        yield DeadlyJudging()

    run(config.model_copy(update={"prior_target": 0.05}))
    with monkeypatch.context() as patch:
        patch.setattr("batchvet.runtime.run.open_executor", deadly)
        done = run(config)
    (row,) = done.not_judged.to_dict("records")
    assert (row["error_kind"], list(row["flag_names"])) == ("killed", ["WORKER_KILLED"])
    assert not done.is_finished
    assert "error" not in set(done.sectors["status"])  # its sectors are not blamed
    monkeypatch.setattr("batchvet.runtime.run.open_executor", in_this_process)
    assert run(config).is_finished
    assert same_tables(config.output, whole)
