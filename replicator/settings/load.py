"""From a file to settings, or to one error that lists every mistake in it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from replicator.settings.checks import check_together
from replicator.settings.document import Document, read_document
from replicator.settings.explain import explain, may_be_named
from replicator.settings.fields import Surroundings
from replicator.settings.mistakes import KeyPath, Mistake, settings_error
from replicator.settings.places import Places
from replicator.settings.schema import Settings
from replicator.settings.unsupported import refuse_unsupported


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings that the file at `path` holds; secrets come from files and from `environ`.

    Raises SettingsError with every mistake, one a line: `file:line: key.path: what is wrong; what would be right`.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        mistake = Mistake((), f"cannot be read ({error.strerror})", "give the path of the configuration file")
        raise settings_error(str(path), {}, [mistake]) from error
    document = read_document(raw)
    settings, mistakes = _settings(document, Surroundings(path.absolute().parent, environ))
    if settings is None or mistakes:
        raise settings_error(str(path), document.lines, mistakes)
    return settings


def _settings(document: Document, surroundings: Surroundings) -> tuple[Settings | None, list[Mistake]]:
    if document.data is None:
        return None, document.mistakes
    if not isinstance(document.data, dict):
        return None, [
            *document.mistakes,
            Mistake((), "is not a mapping", "start from config/replicator.minimal.yaml"),
        ]
    data, unsupported = refuse_unsupported(document.data)
    # Every mistake that is left out here lies below another one.
    written = [mistake for mistake in document.mistakes if may_be_named(mistake.path)]
    mistakes = [*written, *check_together(document.data), *unsupported]
    try:
        return Settings.model_validate(data, context=replace(surroundings, places=_places(document))), mistakes
    except ValidationError as error:
        # The cause is dropped on purpose: pydantic's error keeps the values.
        return None, [*mistakes, *(_as_written(mistake, document.lines) for mistake in explain(error))]


def _places(document: Document) -> Places:
    rules = document.data.get("rules")
    count = len(rules) if isinstance(rules, list) else 0
    return Places(tuple(document.lines.get(("rules", position), 1) for position in range(count)))


def _as_written(mistake: Mistake, lines: Mapping[KeyPath, int]) -> Mistake:
    """Point at the value itself where one stands for a list of one."""
    path = mistake.path
    if path and isinstance(path[-1], int) and path not in lines:
        return Mistake(path[:-1], mistake.wrong, mistake.right)
    return mistake
