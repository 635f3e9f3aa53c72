"""Every single answer in a file."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import BAD, complains, holds
from servers import OK, Answer, Server, in_turn

from lab.load.answerlog import HEY_COLUMNS
from lab.load.load import Load
from lab.load.run import run

VEGETA = "attack seq code timestamp latency bytes_out bytes_in error body method url headers"


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"connections": 3}, {"connections": 3, "rate": 500.0}], ids=str)
@pytest.mark.parametrize("suffix", [".csv", ".ndjson"])
def test_samples_have_every_request_once(how: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"samples{suffix}"
    answers = [Answer((OK,), delay_s=0.001 * n) for n in range(7)]
    with Server(in_turn(*answers, BAD, Answer((), "close"), Answer((OK[:25],), "close"))) as server:
        load = Load(
            url=f"{server.url}/", method="POST", body=b"four", requests=60, samples=str(file),
            warmup_s=0.1, name="shop", **how,
        )  # fmt: skip
        before = datetime.now(UTC)
        result = run(load)
        after = datetime.now(UTC)
    holds(result, 60)
    mean_s = result.latency_s["mean"] or 0
    if suffix == ".csv":
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
        assert list(rows[0]) == HEY_COLUMNS.split(",")
        assert Counter(row["status-code"] for row in rows) == result.statuses
        ok_s = [float(row["response-time"]) for row in rows if row["status-code"] == "200"]
        offsets_s = [float(row["offset"]) for row in rows]
        for row in rows:
            parts = ("DNS+dialup", "Request-write", "Response-delay", "Response-read")
            spent_s = sum(float(row[part]) for part in parts)
            assert spent_s == pytest.approx(float(row["response-time"]), abs=1e-8)
        assert 0 <= min(offsets_s) <= max(offsets_s) <= result.elapsed_s
    else:
        hits = [json.loads(line) for line in file.read_text().splitlines()]
        assert [hit["seq"] for hit in hits] == list(range(60))
        assert all(list(hit) == VEGETA.split() for hit in hits)
        codes = Counter(str(hit["code"]) for hit in hits)
        assert {**result.statuses, "0": codes["0"]} == codes
        assert Counter(hit["error"] for hit in hits if hit["error"]) == result.errors
        ok_s = [hit["latency"] / 1e9 for hit in hits if not hit["error"]]
        assert {(h["attack"], h["method"], h["bytes_out"]) for h in hits} == {("shop", "POST", 4)}
        assert {hit["bytes_in"] for hit in hits if hit["code"]} == {2}
        assert {hit["url"] for hit in hits} == {f"{server.url}/"}
        for hit in hits:
            at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d{3}Z$", r"\1+00:00", hit["timestamp"]))
            assert before <= at <= at + timedelta(seconds=hit["latency"] / 1e9) <= after
    assert len(ok_s) == result.ok
    assert np.mean(ok_s) == pytest.approx(mean_s, rel=2e-3)
    assert max(ok_s) == pytest.approx(result.latency_s["max"], rel=1e-6)


@pytest.mark.parametrize("name", ["a.txt", "samples", "a.json", "no-such-folder/a.csv", ".csv/"])
def test_samples_that_cannot_be_written_are_told_before_the_load(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Server() as server:
        line = complains(capsys, 2, "-n", 5, "--samples", f"{tmp_path}/{name}", server.url)
    assert name.strip("/") in line
    assert server.connections == 0
    assert list(tmp_path.iterdir()) == []
