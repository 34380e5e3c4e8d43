"""Runs the operations that are committed together: in a row, or each by itself where one of them cannot be kept."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, Self, TypeVar

from replicator.errors import ReplicatorError, StoreError
from replicator.store.moment import DATABASE_ERRORS
from replicator.store.session import Session

T = TypeVar("T")
Operation = Callable[[Session], Any]

REFUSED: tuple[type[Exception], ...] = (*DATABASE_ERRORS, ReplicatorError, ValueError, OverflowError)
"""What an operation may raise that cannot be kept."""


class Joint(ABC, Generic[T]):
    """An operation that costs less when those of its kind that wait behind one another are done together."""

    @classmethod
    @abstractmethod
    def all_of(cls, session: Session, several: Sequence[Self]) -> Sequence[T]:
        """Do them as if in order, and return what each answers."""

    def __call__(self, session: Session) -> T:
        """Do this one alone."""
        return self.all_of(session, [self])[0]


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands for the answer of an operation that was not kept."""

    error: Exception


def run_in_a_row(session: Session, operations: Sequence[Operation]) -> list[Any]:
    """Run all and return their answers; where one raises, the transaction has to be rolled back."""
    answers: list[Any] = []
    for kind, several in groupby(operations, key=_kind):
        alike: Sequence[Any] = list(several)
        answers += [one(session) for one in alike] if kind is None else kind.all_of(session, alike)
    return answers


def _kind(operation: object) -> type[Joint[Any]] | None:
    return type(operation) if isinstance(operation, Joint) else None


def run_apart(session: Session, operations: Sequence[Operation]) -> list[Any]:
    """Run each in a savepoint of its own, and return their answers: one that is Refused takes no other with it.

    Raises where the engine has rolled back everything.
    """
    return [_apart(session, operation) for operation in operations]


def _apart(session: Session, operation: Operation) -> Any:
    connection, before = session.connection, session.mark()
    connection.execute("SAVEPOINT operation")
    try:
        answer = operation(session)
    except REFUSED as error:
        if not connection.in_transaction:
            raise  # the others' operations too
        connection.execute("ROLLBACK TO operation")
        connection.execute("RELEASE operation")
        session.forget_after_rollback(before)
        return refused(error)
    connection.execute("RELEASE operation")
    return answer


def refused(error: Exception) -> Refused:
    """Return what whoever waits for an operation is told of it."""
    if isinstance(error, ReplicatorError):
        return Refused(error)
    refusal = StoreError(f"the store could not keep it: {error}")
    refusal.__cause__ = error
    return Refused(refusal)
