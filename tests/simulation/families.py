"""What people do with indexes and what these list: tags move between them, children come first, all is cleared out.

Some of it happens right when a replica is asked something, so that a copy and a delete of the same child meet.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial

from replicator.model import Repository, Tag
from tests.simulation.content import CHILDREN, IMAGES, PARENTS, REPOSITORIES, TAGS
from tests.simulation.primary import Primary
from tests.simulation.weather import Meanwhile
from tests.support.content import Content, Index
from tests.unit.replication.support import Op

_AS_IT_GOES = (Op.TAGS, Op.READ, Op.DELETE, Op.DELETE)
"""When an index comes that needs what is being deleted: as it is asked who needs it, or right before it is done."""


class Families:
    """Indexes of one run, and those who push and delete them at the primary.

    `arrive` lets time pass in which replicas may be given what is pushed, `put_own` has somebody else put an index on
    one.
    """

    def __init__(
        self,
        primary: Primary,
        rng: random.Random,
        meanwhile: Meanwhile,
        *,
        arrive: Callable[[], Awaitable[None]],
        put_own: Callable[[Repository, Content], Awaitable[None]],
    ) -> None:
        self._primary = primary
        self._rng = rng
        self._meanwhile = meanwhile
        self._arrive = arrive
        self._put_own = put_own
        self._indexes = [one for one in primary.contents if isinstance(one, Index)]

    async def move(self) -> None:
        """Have a tag name an index and something that it lists, one after the other."""
        repository, tag = self._rng.choice(REPOSITORIES), self._rng.choice(TAGS)
        index = self._rng.choice(self._indexes)
        order = [index, self._rng.choice(index.manifests()[:-1])]
        self._rng.shuffle(order)
        for content in order:
            await self._primary.push_as(repository, tag, content)

    async def clear_out(self) -> None:
        """Delete an index and whatever below it nothing else lists."""
        content = self._rng.choice(self._indexes)
        held = [one for one in REPOSITORIES if self._primary.holds(one, content.digest)]
        if held:
            await self._primary.clear_out(self._rng.choice(held), content)

    async def clear_out_meanwhile(self) -> None:
        """Push for its own sake what is deleted as soon as a replica is given some of it."""
        contents: list[Content] = [*IMAGES[:3], *self._indexes]
        content = self._rng.choice(contents)
        repository = await self._primary.push_untagged(content)
        self._meanwhile.arrange(
            (Op.WRITE, repository, self._rng.choice(content.manifests()).digest),
            partial(self._primary.clear_out, repository, content),
        )

    async def lose_child(self) -> None:
        """Delete a manifest that replicas were given for its own sake, while indexes of it come, stay or go."""
        repository, at = self._rng.choice(REPOSITORIES), self._rng.randrange(len(CHILDREN))
        child, parent, tag = CHILDREN[at], PARENTS[at], self._rng.choice(TAGS)
        self._primary.forget(repository, parent)
        await self._primary.push_untagged(child, repository, told=True)
        await self._arrive()
        how = self._rng.choice(["theirs", "theirs", "kept", "kept", "tagged", "while", "while", "after"])
        if how == "theirs":
            await self._put_own(repository, parent)
        elif how in {"kept", "tagged"}:
            if how == "kept":
                await self._primary.push_untagged(parent, repository, told=True)
            else:
                await self._primary.push_as(repository, tag, parent, told=True)
            await self._arrive()
            # Nobody tells of that: replicas keep the index.
            self._primary.forget(repository, parent)
        elif how == "while":
            op = self._rng.choice(_AS_IT_GOES)
            asked = Tag("list") if op is Op.TAGS else child.digest
            self._meanwhile.arrange((op, repository, asked), partial(self._push_slowly, repository, tag, parent))
        await self._primary.delete_again(repository, child.digest, told=True)
        if how == "after":
            await self._arrive()
            await self._arrive()
            await self._primary.push_as(repository, tag, parent, told=True)

    async def _push_slowly(self, repository: Repository, tag: Tag, content: Content) -> None:
        await self._primary.push_as(repository, tag, content, told=True)
        await self._primary.wait(self._rng.choice([0.0, 0.3, 5.0, 40.0]))
