"""From the bytes of a delivery to the outcomes of its events, the same way for every sender. Pure, and total.

A sender's module says only what its events mean (a Reader); size, depth, duplicate keys, wrong kinds and the sorting
of the outcomes are looked after here, so that no body makes any decoder raise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol
from urllib.parse import parse_qsl

from replicator import strict_json
from replicator.errors import NameInvalid
from replicator.intake.formats.decoded import Decoded, Irrelevant, Outcome, Reply, Unreadable
from replicator.intake.formats.fields import MAX_EVENTS, Unclear, header
from replicator.model import Change

_FORM = "application/x-www-form-urlencoded"
_FORM_FIELDS = 16
_MOST = 2 * MAX_EVENTS
"""Most outcomes of one delivery: some events are two changes each, and lists may stand in lists."""

Headers = Mapping[str, str]


class Decoder(Protocol):
    """A pure decoder of one sender's format; it never raises."""

    def __call__(self, body: bytes, headers: Headers, /, *, limit: int) -> Decoded:
        """Return what the delivery says; `limit` is the most bytes its body may have."""
        ...


Reader = Callable[[Any, Headers], Iterable[Outcome]]
"""Yields the outcomes of a delivery whose body is this JSON value. Raises Unclear or NameInvalid, nothing else."""


def decoder(read: Reader, *, form: bool = False) -> Decoder:
    """Return the decoder of a sender; with `form`, JSON in the field `payload` of a form is taken as well."""

    def decode(body: bytes, headers: Headers, /, *, limit: int) -> Decoded:
        def outcomes() -> Iterator[Outcome]:
            if form and header(headers, "Content-Type").partition(";")[0].strip().lower() == _FORM:
                yield from read(parsed(_payload(body, limit), limit), headers)
            else:
                yield from read(parsed(body, limit), headers)

        return _sorted_out(total(outcomes()))

    return decode


def parsed(data: bytes, limit: int) -> Any:
    """Return the JSON value in `data`. Raises Unclear."""
    try:
        return strict_json.loads(data, limit=limit)
    except strict_json.Invalid as error:
        raise Unclear(str(error)) from error


def each(events: Iterable[Any], read: Callable[[Any], Iterable[Outcome]]) -> Iterator[Outcome]:
    """Yield the outcomes of the events of a batch: one that cannot be understood hides no other."""
    for event in events:
        yield from total(read(event))


def total(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Yield the outcomes, and one more that is unreadable in place of the error that ends them."""
    try:
        yield from outcomes
    except (Unclear, NameInvalid) as error:
        yield Unreadable(str(error))


def _payload(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise Unclear(f"a form of {len(body)} bytes is over the limit of {limit}")
    try:
        fields = parse_qsl(body.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=_FORM_FIELDS)
    except ValueError as error:
        raise Unclear("the body is not a form") from error
    found = [value for name, value in fields if name == "payload"]
    if len(found) != 1:
        raise Unclear("the form has no payload, or several")
    return found[0].encode()


def _sorted_out(outcomes: Iterable[Outcome]) -> Decoded:
    found = list(islice(outcomes, _MOST + 1))
    if len(found) > _MOST:
        return Decoded(unreadable=(Unreadable(f"more than {_MOST} changes in one delivery"),))
    return Decoded(
        changes=tuple(one for one in found if isinstance(one, Change)),
        irrelevant=tuple(one for one in found if isinstance(one, Irrelevant)),
        unreadable=tuple(one for one in found if isinstance(one, Unreadable)),
        reply=next((one for one in found if isinstance(one, Reply)), None),
    )
