"""`python -m replicator.cli.healthcheck`: asks `/healthz` where the configuration says, for an image's HEALTHCHECK.

No subcommand, and imports next to nothing: it runs every half minute and must not cost what starting all of the
program does. Of the file it reads `admin.listen` alone, so another mistake in it says nothing against the daemon.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from replicator.settings.document import DEFAULT_ADMIN, DEFAULT_CONFIG, read_document
from replicator.settings.listening import reached_at

_SECONDS = 4.0
"""Less than the engine's own timeout, so that the reason can still be told."""


def health_url(path: Path) -> str:
    """Return the address of `/healthz` by the file at `path`. Raises OSError, and ValueError when it names none."""
    document = read_document(path.read_bytes())
    data = document.data
    admin = data.get("admin", {}) if isinstance(data, dict) else None
    listen = admin.get("listen", DEFAULT_ADMIN) if isinstance(admin, dict) else None
    host, colon, port = listen.rpartition(":") if isinstance(listen, str) else ("", "", "")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"{path} does not say where the admin listener is")
    return f"http://{reached_at(host, port)}/healthz"


def main(environ: Mapping[str, str]) -> str:
    """Ask once and return what is wrong, nothing when all is well."""
    try:
        url = health_url(Path(environ.get("REPLICATOR_CONFIG") or DEFAULT_CONFIG))
        # Straight to the daemon: a proxy of the environment is meant for the outside.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(url, timeout=_SECONDS).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.read(2000).decode(errors="replace")
    except (OSError, ValueError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    # Engines know 0 and 1 only: a message makes it 1.
    sys.exit(main(os.environ) or None)
