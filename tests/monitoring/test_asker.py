"""A wait for data that fails says why, and what had none."""

from pathlib import Path

import pytest

from tests.monitoring.live import Asker
from tests.support.prometheus import run_prometheus


async def test_a_wait_that_fails_names_its_reason_and_what_had_no_data(tmp_path: Path) -> None:
    async with run_prometheus(tmp_path, {}) as prometheus:
        asker = Asker(prometheus)
        with pytest.raises(AssertionError, match=r"^not within 0\.1 s: Prometheus has data for") as failure:
            await asker.until_all_that_need_no_failure(within=0.1)
    (note,) = failure.value.__notes__
    assert "replication.json 1 Lag: {{replica}}" in note
    assert "replication.json 4 Failing" not in note, "that one needs a failure"


async def test_a_question_that_is_refused_is_the_reason_of_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.monitoring.live.REPLICA", '"')
    async with run_prometheus(tmp_path, {}) as prometheus:
        with pytest.raises(AssertionError, match="parse error") as failure:
            await Asker(prometheus).until_all_that_need_no_failure(within=0.1)
    assert failure.value.__notes__
