"""Every decoder of webhooks, and what must hold of whatever it returns for any bytes at all."""

import time
from collections.abc import Mapping

from replicator.intake.formats.decoded import Decoded
from replicator.intake.formats.generic import decoder_of
from replicator.intake.formats.known import FORMATS
from replicator.intake.formats.reading import Decoder
from replicator.model import Digest, parse_repository, parse_tag
from replicator.settings.generic import GenericFormat

LIMIT = 8 << 20
SECONDS = 2.0
GENERIC = GenericFormat(
    events="data", repository="repository", tag="tag", digest="digest", host="host", time="time", id="id"
)
LISTS = GenericFormat(events="events[*]", image="images[*]", tag="tags[*]", action="a.b", deletes=("x",))
DECODERS: Mapping[str, Decoder] = {
    **{name: form.decode for name, form in FORMATS.items()},
    "generic": decoder_of(GENERIC),
    "generic of lists": decoder_of(LISTS),
}


def read(name: str, body: bytes, headers: Mapping[str, str]) -> Decoded:
    """Decode; fail where a name breaks the grammar, a text could not be stored, or a core is busy for SECONDS."""
    started = time.thread_time()
    decoded = DECODERS[name](body, headers, limit=LIMIT)
    assert time.thread_time() - started < SECONDS
    for change in decoded.changes:
        assert parse_repository(change.repository) == change.repository
        if isinstance(change.reference, Digest):
            assert Digest.parse(str(change.reference)) == change.reference
        else:
            assert parse_tag(change.reference) == change.reference
        assert change.digest is None or Digest.parse(str(change.digest)) == change.digest
        assert change.happened_at is None or 0 <= change.happened_at < 1e12
        assert change.host is None or 0 < len(change.host) <= 256
        assert len(change.event_id) <= 256
        # What is logged and stored must be able to become bytes.
        (change.event_id + (change.host or "")).encode()
    assert all(each.reason.isprintable() and len(each.reason) < 1_000 for each in decoded.unreadable)
    if decoded.reply is not None and decoded.reply.body is not None:
        assert all(value.isascii() and len(value) <= 256 for value in decoded.reply.body.values())
    return decoded
