"""What `check` advises: the thing to do for what went wrong."""

import pytest

from replicator.cli.advice import SKEW_SECONDS, advice, clock_remark, missing_push
from replicator.errors import AccessDenied, Reason, RegistryError


def _error(text: str, reason: Reason, status: int = 0) -> RegistryError:
    return RegistryError(text, registry="r", reason=reason, status=status)


def _denied(status: int) -> AccessDenied:
    return AccessDenied("denied", registry="r", reason=Reason.AUTH, status=status)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_error("r: the name has no address", Reason.NETWORK), "DNS on this machine"),
        (_error("r: cannot connect (Connection refused)", Reason.NETWORK), "port"),
        (_error("r: not trusted (certificate has expired)", Reason.TLS), "renew"),
        (_error("r: not trusted (Hostname mismatch, not valid for 'r')", Reason.TLS), "another name"),
        (_error("r: the certificate is not trusted (self-signed certificate)", Reason.TLS), "tls.ca_file"),
        (_error("r: the TLS handshake failed", Reason.TLS), "http://"),
        (_error("r: refuses our client certificate, or wants one (certificate expired)", Reason.TLS), "cert_file"),
        (_error("put auth.example.com into realm_allow", Reason.AUTH), "token server"),
        (_denied(401), "wrong, or has expired"),
        (_denied(403), "rights"),
    ],
)
def test_each_error_has_its_advice(error: RegistryError, said: str) -> None:
    assert said in advice(error)


def test_who_has_no_account_is_told_to_write_one() -> None:
    assert "credentials:" in advice(_denied(401), anonymous=True)
    assert "credentials:" in missing_push("mirror/app", _denied(401), anonymous=True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_right_to_push_is_named_by_its_scope(status: int) -> None:
    assert "repository:mirror/app:pull,push" in missing_push("mirror/app", _denied(status), anonymous=False)


@pytest.mark.parametrize(
    ("ahead", "said"),
    [(None, ""), (SKEW_SECONDS - 1, ""), (-SKEW_SECONDS + 1, ""), (95.4, "95 s ahead"), (-3600.0, "3600 s behind")],
)
def test_a_clock_is_told_of_when_it_is_far_off(ahead: float | None, said: str) -> None:
    told = clock_remark(ahead)
    assert said in told
    assert bool(told) == bool(said)
