"""Parts of the package that not everybody installs. What needs one is refused where it is missing."""

from importlib.util import find_spec

from replicator.settings.fields import refuse

_MODULES = {"azure": "azure.identity", "aws": "botocore", "gcp": "google.auth", "nats": "nats", "postgres": "psycopg"}


def need_extra(extra: str) -> None:
    """Give up on a value that needs an extra which is not installed; says how to install it."""
    try:
        found = find_spec(_MODULES[extra]) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        refuse(f"needs the extra {extra}, which is not installed", f'install it: pip install "replicator[{extra}]"')
