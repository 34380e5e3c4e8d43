"""Deliveries of any sender whose JSON the configuration describes: where in it the names are."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    MAX_EVENTS,
    TEXT_MAX,
    Unclear,
    reference,
    rfc3339,
    split_full_name,
    tag_or_digest,
    unix_seconds,
)
from replicator.intake.formats.reading import Decoder, Headers, decoder, each
from replicator.model import Change, ChangeKind, Digest, Repository, Tag, parse_repository, shown
from replicator.settings import json_paths
from replicator.settings.generic import GenericFormat
from replicator.settings.json_paths import Every

Names = tuple[str | None, Repository, list[Tag], Digest | None]


def decoder_of(where: GenericFormat) -> Decoder:
    """Return the decoder that `where` describes."""
    return decoder(_Reader(where), form=True)


class _Reader:
    """Reads deliveries by one description."""

    def __init__(self, where: GenericFormat) -> None:
        self._where = where

    def __call__(self, document: Any, _headers: Headers) -> Iterator[Outcome]:
        yield from each(
            [document] if self._where.events is None else _events(document, self._where.events), self._event
        )

    def _event(self, event: Any) -> Iterator[Outcome]:
        where = self._where
        kind = self._kind(event)
        if kind is None:
            yield Irrelevant(Irrelevance.ACTION)
            return
        host, repository, tags, digest = self._names(event)
        # Without a tag the event is about its digest.
        named: list[Tag | None] = [*tags] or [None]
        for tag in named:
            yield Change(
                kind=kind,
                repository=repository,
                reference=reference(tag, digest),
                digest=digest,
                happened_at=_time(event, where.time),
                host=_text(event, where.host)[:TEXT_MAX] or host,
                event_id=_text(event, where.id)[:TEXT_MAX],
            )

    def _kind(self, event: Any) -> ChangeKind | None:
        """Return what happened, None for what is not followed."""
        if self._where.action is None:
            return ChangeKind.PUSH
        action = _text(event, self._where.action)
        if not action:
            raise Unclear(f"the event has no action at {shown(self._where.action)}")
        if action in self._where.deletes:
            return ChangeKind.DELETE
        return ChangeKind.PUSH if action in self._where.pushes else None

    def _names(self, event: Any) -> Names:
        where = self._where
        host, repository, tags, digest = None, None, [], None
        if where.image is not None:
            host, repository, tag, digest = split_full_name(_text(event, where.image))
            tags = [] if tag is None else [tag]
        if where.repository is not None:
            repository = parse_repository(_text(event, where.repository))
        if repository is None:
            # The settings name a place for it; a description made in code may not.
            raise Unclear("the description has no place for the repository")
        for name in _texts(event, where.tag):
            tag, named = tag_or_digest(name)
            tags += [] if tag is None else [tag]
            digest = named or digest
        written = _text(event, where.digest)
        return host, repository, list(dict.fromkeys(tags)), Digest.parse(written) if written else digest


def _events(document: Any, path: str) -> list[Any]:
    """Return the events; an empty list is one only where the body has that list, or it is another sender's body."""
    steps = json_paths.parse(path)
    before = list(takewhile(lambda step: step is not Every.ITEM, steps))
    found = list(json_paths.values(document, before))
    if not found or (len(before) < len(steps) and not isinstance(found[0], list)):
        raise Unclear(f"the body has no events at {shown(path)}")
    return _all(document, path)


def _all(holder: Any, path: str) -> list[Any]:
    found = []
    for value in json_paths.values(holder, json_paths.parse(path)):
        found.append(value)
        if len(found) > MAX_EVENTS:
            raise Unclear(f"more than {MAX_EVENTS} values at {shown(path)}")
    return found


def _texts(event: Any, path: str | None) -> list[str]:
    found = [value for value in _all(event, path) if value is not None] if path is not None else []
    if not all(isinstance(value, str) for value in found):
        raise Unclear(f"{shown(path or '')} is not text")
    return found


def _text(event: Any, path: str | None) -> str:
    """Return the text at `path`, "" when it is missing or no path is given."""
    found = _texts(event, path)
    if len(found) > 1:
        raise Unclear(f"there are several values at {shown(path or '')}")
    return found[0] if found else ""


def _time(event: Any, path: str | None) -> float | None:
    value = next(iter(_all(event, path)), None) if path is not None else None
    return rfc3339(value) if isinstance(value, str) else unix_seconds(value)
