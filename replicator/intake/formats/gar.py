"""Deliveries of Google Artifact Registry through a Pub/Sub push subscription, wrapped or unwrapped."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    Unclear,
    as_object,
    header,
    inner,
    reference,
    rfc3339,
    short,
    split_full_name,
    text,
    word,
)
from replicator.intake.formats.reading import Headers, decoder, parsed
from replicator.model import Change, ChangeKind, Digest, parse_tag

MESSAGE_MAX = 64 << 10
"""Bytes of a message; those of the registry have a few hundred."""
_KINDS = {"INSERT": ChangeKind.PUSH, "DELETE": ChangeKind.DELETE}


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the message says."""
    body = as_object(document, "the body")
    if "message" in body:
        message = inner(body, "message")
        event_id = short(message, "messageId") or short(message, "message_id")
        time = rfc3339(message.get("publishTime") or message.get("publish_time"))
        event = _data(text(message, "data"))
    else:
        event_id = header(headers, "X-Goog-Pubsub-Message-Id")
        time = rfc3339(header(headers, "X-Goog-Pubsub-Publish-Time"))
        event = body
    kind = _KINDS.get(word(event, "action"))
    if not {"tag", "digest"} & event.keys():
        raise Unclear("the message names neither tag nor digest")
    yield Irrelevant(Irrelevance.ACTION) if kind is None else _change(kind, event, event_id, time)


def _data(encoded: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unclear("the message's data is not base64") from error
    return as_object(parsed(data, MESSAGE_MAX), "the message")


def _change(kind: ChangeKind, event: dict[str, Any], event_id: str, time: float | None) -> Change:
    tagged, by_digest = text(event, "tag"), text(event, "digest")
    named = [split_full_name(name) for name in (by_digest, tagged) if "/" in name]
    if not named:
        raise Unclear("the message names no repository")
    host, repository, _, _ = named[0]
    if any(one[:2] != (host, repository) for one in named):
        raise Unclear("tag and digest are of different repositories")
    tag = parse_tag(tagged) if tagged and "/" not in tagged else named[-1][2]
    digest = Digest.parse(by_digest) if by_digest and "/" not in by_digest else named[0][3]
    return Change(
        kind=kind,
        repository=repository,
        reference=reference(tag, digest),
        digest=digest,
        happened_at=time,
        host=host,
        event_id=event_id,
    )


decode = decoder(read)
