"""A proof that takes time to get, and what happens while it is being got."""

import asyncio

import pytest

from replicator.registry.logins.kept import Kept
from replicator.registry.logins.source import NoProof
from replicator.settings.proof import Proof
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock

LIFE = 12 * 3600.0


class Slow:
    """Gives the proof that there was when it was asked, or none, once it is let."""

    def __init__(self, proof: Proof | NoProof) -> None:
        self.proof = proof
        self.asked = 0
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def fetch(self) -> tuple[Proof, float]:
        self.asked += 1
        found = self.proof
        self.entered.set()
        await self.open.wait()
        if isinstance(found, NoProof):
            raise found
        return found, LIFE


OLD, NEW = (Proof(token=Secret.of_text(text)) for text in ("old", "new"))


@pytest.mark.parametrize("before", [OLD, NoProof("refused")], ids=["proof", "refusal"])
async def test_what_was_asked_for_before_it_was_to_be_forgotten_is_not_kept(before: Proof | NoProof) -> None:
    slow = Slow(before)
    kept = Kept(slow.fetch, FakeClock())
    asking = asyncio.create_task(kept.proof())
    await slow.entered.wait()
    slow.proof = NEW
    kept.forget()
    slow.open.set()
    assert await asking is NEW
    assert await kept.proof() is NEW
    assert slow.asked == 2


async def test_nobody_waits_for_a_renewal_while_the_former_proof_lives(fake_clock: FakeClock) -> None:
    """What gives it may hang for a minute at each try, and the former is good for ten more."""
    slow = Slow(OLD)
    slow.open.set()
    kept = Kept(slow.fetch, fake_clock)
    assert await kept.proof() is OLD
    fake_clock.advance(LIFE - 600.0)
    slow.proof = NEW
    slow.open.clear()
    slow.entered.clear()
    renewing = asyncio.create_task(kept.proof())
    await slow.entered.wait()
    assert await kept.proof() is OLD
    fake_clock.advance(580.0)
    late = asyncio.create_task(kept.proof())
    slow.open.set()
    assert [await renewing, await late] == [NEW, NEW], "what has hardly any life left is not used"
