"""`Link` headers as registries write them (L1)."""

import pytest

from replicator.registry.link import next_page


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['</v2/_catalog?last=b&n=2>; rel="next"'], "/v2/_catalog?last=b&n=2"),
        (["<https://h/v2/x?n=1,2&last=a%2Fb>;rel=next"], "https://h/v2/x?n=1,2&last=a%2Fb"),
        (['<a>; rel="prev", <b>; title="x, y; z"; rel="next"'], "b"),
        (['<a>; rel="prev"', '<b>; REL="prev NEXT"'], "b"),
        (['<a>; rel="prev"'], None),
        (["<a>"], None),
        (["nonsense", ""], None),
        ([], None),
    ],
)
def test_l1_the_next_page_is_found_and_kept_as_written(headers: list[str], expected: str | None) -> None:
    assert next_page(headers) == expected
