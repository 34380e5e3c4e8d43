"""What breaks a guarantee is noticed: each deliberate break of tests/simulation/mutations.py fails something."""

from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation, noticed


def named(mutation: Mutation) -> str:
    return mutation.name.replace(" ", "-")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=named)
def test_what_a_mutation_breaks_is_still_there(mutation: Mutation) -> None:
    assert mutation.path.read_text().count(mutation.old) == 1, mutation


@pytest.mark.prove
@pytest.mark.parametrize("mutation", MUTATIONS, ids=named)
def test_each_mutation_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    found, said = noticed(mutation, tmp_path)
    print(f"\n{mutation.name}:\n{said[-400:]}")
    assert found, said
