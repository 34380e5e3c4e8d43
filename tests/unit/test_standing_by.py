"""A daemon that stands by takes the place of another, whatever happens to the server of the store meanwhile."""

from collections.abc import Iterator

from structlog.testing import capture_logs

from replicator.daemon import take_place
from replicator.errors import StoreError
from replicator.store.held import Held


async def test_who_stands_by_waits_for_a_server_that_is_away_too() -> None:
    held, away = Held("another daemon works with this store"), StoreError("the database is not reached: refused")
    answers: Iterator[StoreError | str] = iter((held, away, away, held, "the store"))
    rests = 0

    async def attempt() -> str:
        answer = next(answers)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    async def rest() -> None:
        nonlocal rests
        rests += 1

    with capture_logs() as lines:
        assert await take_place(attempt, rest, str(held)) == "the store"
    assert rests == 5
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("daemon_standing_by", str(away)),
        ("daemon_standing_by", str(held)),
    ]
