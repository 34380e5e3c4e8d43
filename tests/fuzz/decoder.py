"""One decoder under the fuzzer, until the time that is given is over or something breaks.

    python -m tests.fuzz.decoder acr FOLDER -max_total_time=60

FOLDER keeps what reached new code; the exit code is 0 when nothing broke. The first bytes choose the headers of a
sample, since some senders say in them what the body is.
"""

import sys

import atheris

with atheris.instrument_imports(include=["replicator.intake", "replicator.strict_json", "replicator.model"]):
    from tests.support.decoding import read
    from tests.support.webhook_samples import samples

_HEADERS = [sample.headers for sample in samples().values()]


def main(arguments: list[str]) -> None:
    """Run; never returns."""
    _, name, *rest = arguments

    def once(data: bytes) -> None:
        read(name, data[1:], _HEADERS[data[0] % len(_HEADERS)] if data else {})

    atheris.Setup([arguments[0], *rest], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
