"""Every error says why, whether it may pass, and when to come back."""

import inspect

import pytest

from replicator import errors
from replicator.errors import (
    AccessDenied,
    ContentError,
    ManifestBlobUnknown,
    NameInvalid,
    NotFound,
    Reason,
    RegistryError,
    ReplicatorError,
    SettingsError,
    StoreError,
    Withheld,
)


def test_there_is_one_root() -> None:
    found = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]
    assert len(found) == 13
    assert all(issubclass(one, ReplicatorError) for one in found)


@pytest.mark.parametrize(
    ("error", "reason", "temporary"),
    [
        (ReplicatorError("x"), Reason.OTHER, False),
        (SettingsError("x"), Reason.OTHER, False),
        (NameInvalid("x"), Reason.UNSUPPORTED, False),
        (StoreError("x"), Reason.DISK, True),
        (ContentError("x", registry="eu"), Reason.DIGEST_MISMATCH, False),
        (ContentError("x", registry="eu", reason=Reason.UNSUPPORTED), Reason.UNSUPPORTED, False),
        (RegistryError("x", registry="eu"), Reason.OTHER, False),
        (RegistryError("x", registry="eu", reason=Reason.TIMEOUT, temporary=True), Reason.TIMEOUT, True),
    ],
)
def test_what_an_error_says_of_itself(error: ReplicatorError, reason: Reason, temporary: bool) -> None:
    assert (str(error), error.reason, error.temporary, error.retry_after) == ("x", reason, temporary, None)


@pytest.mark.parametrize("family", [AccessDenied, NotFound, Withheld, ManifestBlobUnknown])
def test_refusals_name_who_refused_and_how(family: type[RegistryError]) -> None:
    error = family("x", registry="eu", status=404, code="MANIFEST_UNKNOWN", retry_after=3.0)
    assert isinstance(error, RegistryError)
    assert (error.registry, error.status, error.code, error.retry_after) == ("eu", 404, "MANIFEST_UNKNOWN", 3.0)


def test_one_error_does_not_change_its_family() -> None:
    one = ReplicatorError("x")
    one.temporary = True
    assert not ReplicatorError("y").temporary


def test_reasons_are_the_words_of_the_metrics() -> None:
    assert {str(reason) for reason in Reason} == {
        "auth", "not_found", "quota", "digest_mismatch", "unsupported", "timeout", "5xx", "429", "network", "disk",
        "tls", "conflict", "other",
    }  # fmt: skip
