"""The status as a page for people: plain HTML, no script, nothing from elsewhere, all text escaped. Pure."""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from typing import Final

from replicator.admin.documents import ReplicaStatus, RowStatus, StatusDocument
from replicator.admin.wording import printable, seconds_text

REFRESH_EVERY: Final = 15
"""Seconds after which a browser loads the page again."""
_STYLE: Final = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.3rem .8rem;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ccc}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td{overflow-wrap:anywhere}.bad{color:#a40000;font-weight:600}.rests{color:#8a6100;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}th,td{border-color:#444}"
    ".bad{color:#ff8a80}.rests{color:#ffcc66}}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy that the page is sent with: its own style, and nothing else."""
_CLASSES: Final = {"open": "bad", "paused": "rests", "seeding": "rests"}
_HEAD: Final = (
    "Replica",
    "State",
    "Lag",
    "Owed",
    "Parked",
    "Ignored",
    "Failing",
    "In flight",
    "Last success",
    "Last error",
)
_PARKED_HEAD: Final = ("Replica", "Reference", "Owed for", "Attempts", "Reason", "Message")


def status_page(document: StatusDocument) -> bytes:
    """Return the page of a status; of its rows it shows those that are parked."""
    totals, now = document["totals"], document["read_at"]
    counts = f"{totals['owed']} owed, {totals['parked']} parked, {totals['inflight']} in flight"
    parts = [
        f"<p>{_text(document['version'])}: {counts}, lag {_text(seconds_text(totals['lag_seconds']))}.</p>",
        _table("Replicas", _HEAD, (_replica(one, now) for one in document["replicas"])),
    ]
    parked = document.get("rows", [])
    if parked:
        parts.append(_table("Parked", _PARKED_HEAD, map(_row, parked)))
        if document.get("next"):
            parts.append("<p>There are more: <code>replicator status --parked</code>.</p>")
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>replicator</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="{REFRESH_EVERY}">'
        f"<style>{_STYLE}</style></head><body><h1>replicator</h1>{''.join(parts)}</body></html>\n"
    )
    return page.encode()


def _replica(one: ReplicaStatus, now: float) -> str:
    failing = " ".join(f"{reason}:{count}" for reason, count in sorted(one["failing"].items()) if count)
    labels = " ".join(f"{name}={value}" for name, value in sorted(one["labels"].items()))
    success = one["last_success"]
    stopped = ", deletes stopped" if one["deletes"]["stopped_since"] is not None else ""
    cells = (
        f'<th scope="row">{_text(one["name"])}<br><small>{_text(labels)}</small></th>',
        _cell(one["state"] + stopped, "bad" if stopped else _CLASSES.get(one["state"], "")),
        _cell(seconds_text(one["lag_seconds"]), "n"),
        _cell(str(one["owed"]), "n"),
        _cell(str(one["parked"]), "n bad" if one["parked"] else "n"),
        _cell(str(one["ignored"]), "n"),
        _cell(failing, "bad" if failing else ""),
        _cell(str(one["inflight"]), "n"),
        _cell("" if success is None else f"{seconds_text(max(0.0, now - success))} ago"),
        _cell(one["last_error"]),
    )
    return "".join(cells)


def _row(row: RowStatus) -> str:
    separator = "@" if ":" in row["reference"] else ":"
    cells = (
        _cell(row["replica"]),
        _cell(f"{row['repository']}{separator}{row['reference']}"),
        _cell(seconds_text(row["owed_seconds"]), "n"),
        _cell(str(row["attempts"]), "n"),
        _cell(row["reason"] or ""),
        _cell(row["message"]),
    )
    return "".join(cells)


def _table(title: str, head: Sequence[str], rows: Iterable[str]) -> str:
    heads = "".join(f'<th scope="col">{_text(word)}</th>' for word in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<h2>{_text(title)}</h2><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str, classes: str = "") -> str:
    return f'<td class="{classes}">{_text(text)}</td>' if classes else f"<td>{_text(text)}</td>"


def _text(text: str) -> str:
    """Return text as it may stand in the page: nothing of it is markup, or turns the direction of what follows."""
    return html.escape(printable(text), quote=True)
