"""skopeo as pusher and judge: an independent implementation of the client side."""

import json

import anyio

from tests.support.processes import require_tool


def docker_name(url: str, repository: str, reference: object) -> str:
    """Return how skopeo writes a reference: `docker://host:port/repository:tag` or `...@digest`."""
    separator = "@" if ":" in str(reference) else ":"
    return f"docker://{url.partition('://')[2]}/{repository}{separator}{reference}"


async def skopeo_copy(source: str, target: str, *, all_platforms: bool = True) -> None:
    """Copy one image byte for byte (digests are preserved), with all platforms of an index unless told otherwise."""
    every = ["--all"] if all_platforms else []
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    await _skopeo("copy", *every, "--preserve-digests", "--quiet", *plain, source, target)


async def skopeo_inspect_digest(name: str) -> str:
    """Return the digest of what `name` (docker://...) refers to, as skopeo computes it from the raw manifest."""
    raw = await _skopeo("inspect", "--raw", "--tls-verify=false", name)
    async with anyio.NamedTemporaryFile(suffix=".json") as manifest:
        await manifest.write(raw)
        await manifest.flush()
        return (await _skopeo("manifest-digest", str(manifest.name))).decode().strip()


async def skopeo_tags(url: str, repository: str) -> list[str]:
    """Return the tags of a repository, sorted."""
    listed = await _skopeo("list-tags", "--tls-verify=false", f"docker://{url.partition('://')[2]}/{repository}")
    return sorted(json.loads(listed)["Tags"])


async def _skopeo(*arguments: str) -> bytes:
    command = [require_tool("skopeo"), "--insecure-policy", *arguments]
    done = await anyio.run_process(command, check=False)
    if done.returncode != 0:
        raise AssertionError(f"skopeo {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
