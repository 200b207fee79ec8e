"""`batchvet check` on the command line."""

from __future__ import annotations

import json

from command_line import batchvet


def test_it_prints_words_and_json(whole):
    done = batchvet("check", whole)
    assert done.returncode == 0 and "too few to tell" in done.stdout
    assert {"scale", "by", "zero_points", "words"} <= set(json.loads(batchvet("check", whole, "--json").stdout))
    assert batchvet("check", whole / "nowhere").returncode == 2
    refused = batchvet("check", whole, "--apply")
    assert refused.returncode == 2 and "do not tell a scale" in refused.stderr
