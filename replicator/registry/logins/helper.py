"""Credential helpers: `docker-credential-NAME get`, asked without a shell, within limits of time and size (A13).

What a helper prints is never shown: it may be the secret. Only its own words for "nothing there" mean nobody.
"""

import contextlib
import os
import shutil
import signal
import subprocess

import anyio
from anyio.abc import ByteReceiveStream, Process

from replicator import strict_json
from replicator.model import shown
from replicator.registry.logins.source import NoProof
from replicator.settings.proof import NOBODY, Proof
from replicator.settings.secrets import Secret

PATIENCE = 30.0
"""Seconds for one answer."""
MOST_OUTPUT = 1024 * 1024
_NOTHING = b"credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 -- the user name that says that the secret is an identity token


async def ask_helper(name: str, server: str, *, patience: float = PATIENCE) -> Proof:
    """Return what the helper has for `server`, NOBODY where it says that it has nothing. Raises NoProof."""
    program = f"docker-credential-{name}"
    path = shutil.which(program)
    if path is None:
        raise NoProof(f"the credential helper {program} is not on PATH", temporary=True)
    try:
        with anyio.fail_after(patience):
            status, output = await _run(path, f"{server}\n".encode())
    except TimeoutError:
        raise NoProof(f"{program} gave no answer within {patience:.0f} s", temporary=True) from None
    except OSError as error:
        raise NoProof(f"{program} cannot be run ({error.strerror})", temporary=True) from error
    if len(output) > MOST_OUTPUT:
        raise NoProof(f"{program} printed more than {MOST_OUTPUT // 1024} KiB")
    if status != 0:
        if output.strip() == _NOTHING:
            return NOBODY
        raise NoProof(
            f"{program} failed with status {status}; to see why: echo {shown(server)} | {program} get", temporary=True
        )
    return _read(program, output)


async def _run(path: str, question: bytes) -> tuple[int, bytes]:
    """Return the exit status and what was printed, cut one byte behind the limit; kill whatever does not end."""
    # A session of its own, so that its children can be ended with it.
    process = await anyio.open_process(
        [path, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if process.stdin is not None:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await process.stdin.send(question)
            await process.stdin.aclose()
        output = b"" if process.stdout is None else await _capped(process.stdout)
        if len(output) > MOST_OUTPUT:
            return 0, output
        return await process.wait(), output
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _capped(stream: ByteReceiveStream) -> bytes:
    output = bytearray()
    async for chunk in stream:
        output += chunk
        if len(output) > MOST_OUTPUT:
            break
    return bytes(output)


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.aclose()


def _read(program: str, output: bytes) -> Proof:
    try:
        document = strict_json.loads(output, limit=MOST_OUTPUT)
    except strict_json.Invalid:
        # The cause is dropped on purpose: it may show a part of what was printed.
        raise NoProof(f"{program} printed something else than JSON") from None
    fields = document if isinstance(document, dict) else {}
    user, secret = fields.get("Username"), fields.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        raise NoProof(f"{program} printed no user name and secret")
    if user == _TOKEN_USER:
        return Proof(identity_token=Secret.of_text(secret))
    if not user or ":" in user:
        raise NoProof(f"{program} printed a user name that cannot be sent")
    return Proof(username=user, password=Secret.of_text(secret))
