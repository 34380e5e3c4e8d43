"""Files and variables that the configuration names: paths, and the secrets that lie there.

Read from a file (with a validation context), a path is resolved against the file's directory, `~` is expanded, and
what it names must be there and readable, so that `config check` finds it and not the first request.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    InstanceOf,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from replicator.errors import SettingsError
from replicator.settings import docker_config
from replicator.settings.extras import need_extra
from replicator.settings.fields import Surroundings, refuse
from replicator.settings.secrets import Secret

SQLITE = "sqlite:///"
"""How the URL of a store in a file begins."""
POSTGRES = "postgresql://"
"""How that of one on a server does."""
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_WRITE_PATH = "write the path of a readable file"


def _resolve(text: str, surroundings: Surroundings) -> Path:
    """Return the absolute path that `text` means in a file of that directory."""
    if not text or "\0" in text:
        refuse("is not a path", _WRITE_PATH)
    home = surroundings.environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home, text[2:])
    try:
        return surroundings.directory / Path(text).expanduser()
    except RuntimeError:
        refuse("begins with ~ and no home directory is known", "write the whole path")


def _path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    if not isinstance(info.context, Surroundings):
        return Path(value)
    path = _resolve(value, info.context)
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        refuse(f"the file {path} cannot be read ({error.strerror})", _WRITE_PATH)
    if not first:
        refuse(f"the file {path} is empty", _WRITE_PATH)
    return path


def _checked(secret: Secret, right: str) -> Secret:
    try:
        value = secret.reveal()
    except SettingsError as error:
        refuse(str(error), right)
    if any(ord(character) < ord(" ") or character == "\x7f" for character in value):
        refuse("the secret holds control characters or several lines", "write the secret alone, on one line")
    return secret


def _secret_file(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        refuse("is not text", "write the path of the file that holds the secret")
    if not isinstance(info.context, Surroundings):
        return Secret.of_file(Path(value))
    return _checked(Secret.of_file(_resolve(value, info.context)), "write the path of a file that holds the secret")


def _secret_variable(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.isidentifier() or not value.isascii():
        # Not shown: it may be the secret itself.
        refuse("is not the name of an environment variable", "write a name, as in REPLICATOR_PASSWORD")
    environ = info.context.environ if isinstance(info.context, Surroundings) else {}
    return _checked(Secret.of_environment(value, environ), "set it before the daemon starts")


def _docker_config(value: Any, info: ValidationInfo) -> Any:
    path = _path(value, info)
    if isinstance(path, Path) and isinstance(info.context, Surroundings):
        try:
            with path.open("rb") as file:
                docker_config.read(file.read(docker_config.LONGEST + 1))
        except SettingsError as error:
            refuse(f"the file {path} cannot be used: {error}", "write the path of Docker's config.json")
    return path


def _store_url(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith(POSTGRES):
        return _postgres_url(value)
    path = value.removeprefix(SQLITE)
    if path in {value, "", ":memory:"} or "?" in value or "#" in value:
        refuse(
            "is not the URL of a store",
            "write sqlite:////PATH, as in sqlite:////var/lib/replicator/replicator.db, or postgresql://USER@HOST/NAME",
        )
    return f"{SQLITE}{_resolve(path, info.context)}" if isinstance(info.context, Surroundings) else value


def _postgres_url(value: str) -> str:
    need_extra("postgres")
    from psycopg import ProgrammingError  # noqa: PLC0415 -- an extra
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 -- an extra
    from psycopg.pq import Conninfo  # noqa: PLC0415 -- an extra

    right = "write postgresql://USER@HOST:PORT/NAME, several hosts with a comma between"
    try:
        parts = conninfo_to_dict(value)
    except ProgrammingError:
        refuse("is not the URL of a PostgreSQL database", right)  # what the library says may hold a password
    if parts.get("password") is not None:
        refuse("holds a password", "write it beside url, as password_file: PATH")
    # libpq marks what is not to be shown.
    secret = {one.keyword.decode() for one in Conninfo.parse(value.encode()) if one.dispchar == b"*"}
    if told := sorted(name for name in secret if parts.get(name) is not None):
        refuse(
            f"holds a secret ({told[0]})", "leave it away: a key without a password, in a file for the daemon alone"
        )
    if not parts.get("host") or not parts.get("dbname"):
        refuse("names no host or no database", right)
    return value


class OneOrMany:
    """Takes one value where a list is meant, and shows a list of one as that one value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the list's own schema."""
        return core_schema.no_info_before_validator_function(
            lambda value: tuple(value) if isinstance(value, list | tuple) else (value,),
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(self._write),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer both forms."""
        many = handler(schema)
        return {"anyOf": [many["items"], many]}

    @staticmethod
    def _write(value: Any, handler: core_schema.SerializerFunctionWrapHandler) -> Any:
        written = handler(value)
        return written[0] if isinstance(written, list | tuple) and len(written) == 1 else written


@dataclass(frozen=True, slots=True)
class Word:
    """A word that people write for "nothing of this", None in the settings; `also` are other spellings of it."""

    word: str
    also: tuple[object, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the word as None and write None as the word."""
        return core_schema.no_info_before_validator_function(
            lambda value: None if value == self.word or any(value is other for other in self.also) else value,
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, write: self.word if value is None else write(value)
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer the word beside the type."""
        return {"anyOf": [*({"const": word} for word in (self.word, *self.also)), handler(schema)]}


FilePath = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "title": "file"})]
"""An existing, readable, non-empty file."""
DockerConfigFile = Annotated[
    Path, BeforeValidator(_docker_config), WithJsonSchema({"type": "string", "title": "file"})
]
"""A file of Docker's or podman's with logins."""
SecretFile = Annotated[
    InstanceOf[Secret],
    BeforeValidator(_secret_file),
    PlainSerializer(lambda secret: secret.origin),
    WithJsonSchema({"type": "string", "title": "file"}),
]
"""A secret, written as the path of the file that holds it."""
SecretFiles = Annotated[tuple[SecretFile, ...], Field(min_length=1), OneOrMany()]
"""Several secrets that are all valid, as while one replaces another; one path or a list of them."""
SecretVariable = Annotated[
    InstanceOf[Secret],
    BeforeValidator(_secret_variable),
    PlainSerializer(lambda secret: secret.origin),
    WithJsonSchema({"type": "string", "title": "variable", "pattern": f"^{_VARIABLE}$"}),
]
"""A secret, written as the name of the environment variable that holds it."""
StoreUrl = Annotated[
    str,
    BeforeValidator(_store_url),
    WithJsonSchema({"type": "string", "title": "URL", "pattern": "^(sqlite:///|postgresql://)."}),
]
"""Where the store is; only SQLite, by an absolute path once read."""
