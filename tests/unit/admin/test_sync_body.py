"""What a body that asks for a sync may say."""

import pytest

from replicator.admin.answers import BadRequest
from replicator.admin.queries import Names, SyncBody, sync_body

NAMES = Names(primary_url="https://registry.example.com", replicas={"eu", "us"})


def test_everything_may_be_left_out() -> None:
    assert sync_body(None, NAMES) == sync_body({}, NAMES) == SyncBody()
    body = {"repositories": ["team/**", "!team/scratch"], "replicas": ["eu"]}
    assert sync_body(body, NAMES) == SyncBody(repositories=("team/**", "!team/scratch"), replicas=("eu",))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "a JSON object"),
        ({"repository": "team/app"}, "`repositories`"),
        ({"repositories": "team/app"}, "a list of names or patterns"),
        ({"repositories": [1]}, "a list of names or patterns"),
        ({"repositories": ["a"] * 1001}, "more than 1000"),
        ({"replicas": ["mars"]}, "is not a replica; there are eu, us"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(body: object, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        sync_body(body, NAMES)
