"""The OpenAPI 3.1 document of the admin listener, as `/api/v1/openapi.json` serves it."""

from typing import Any, Final

from replicator import __version__
from replicator.admin.schemas import SCHEMAS, TEXT, schema


def _reply(description: str, of: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema(of)}}}


def _query(name: str, description: str, of: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": of, "required": required}


_REFUSALS: Final = {
    "400": _reply("Not understood; the message says what would be right.", "Error"),
    "401": _reply("A Bearer token is needed.", "Error"),
    "403": _reply("Closed beyond loopback without a token, or asked for by a host name.", "Error"),
    "503": _reply("The store cannot answer, or the daemon is busy or stopping; Retry-After says when.", "Error"),
}

_PROBE: Final = {"200": _reply("It works.", "Health"), "503": _reply("It does not.", "Health")}
_REF: Final = "repository:tag or repository@digest, also with the primary's host in front"

_REPLICA: Final = {"name": "replica", "in": "path", "description": "Its name", "schema": TEXT, "required": True}


def _order(summary: str, *, body: str | None = None) -> dict[str, Any]:
    """Return what is told a lane, mostly by a request without a body."""
    content = {} if body is None else {"requestBody": {"content": {"application/json": {"schema": schema(body)}}}}
    return {
        "post": {
            "summary": summary,
            "parameters": [_REPLICA],
            **content,
            "responses": {
                **_REFUSALS,
                "200": _reply("It is so now, over restarts too", "Lane"),
                "404": _reply("There is no such replica", "Error"),
                "415": _reply("Not application/json", "Error"),
            },
        }
    }


_PATHS: Final[dict[str, Any]] = {
    "/": {
        "get": {
            "summary": "The status as a page for people.",
            "responses": {
                **_REFUSALS,
                "200": {"description": "The page", "content": {"text/html": {"schema": TEXT}}},
            },
        }
    },
    "/healthz": {"get": {"summary": "Is the event loop alive, and the store?", "security": [], "responses": _PROBE}},
    "/readyz": {"get": {"summary": "Is the store writable, and intake open?", "security": [], "responses": _PROBE}},
    "/metrics": {
        "get": {
            "summary": "Metrics; OpenMetrics where Accept asks for it.",
            "security": [],
            "responses": {"200": {"description": "The page", "content": {"text/plain": {"schema": TEXT}}}},
        }
    },
    "/api/v1/status": {
        "get": {
            "summary": "What each replica owes, how late it is, and why.",
            "parameters": [
                _query("owed", "1 lists the owed rows", {"enum": ["0", "1"]}),
                _query("parked", "1 lists the parked rows only", {"enum": ["0", "1"]}),
                _query("ignored", "1 lists what is ignored by decision", {"enum": ["0", "1"]}),
                _query("replica", "Only this replica", TEXT),
                _query("after", "The `next` of the answer before", TEXT),
                _query("limit", "Rows in one answer", {"type": "integer", "minimum": 1, "maximum": 1000}),
            ],
            "responses": {"200": _reply("The status", "Status"), **_REFUSALS},
        }
    },
    "/api/v1/wait": {
        "get": {
            "summary": "Wait until the digest that `ref` names on the primary now is complete on the replicas.",
            "parameters": [
                _query("ref", _REF, TEXT, required=True),
                _query("replica", "May stand several times; none: all that a rule names", TEXT),
                _query("timeout", "Seconds, or as 30s, 5m; at most an hour, 30 s if absent", TEXT),
            ],
            "responses": {
                **_REFUSALS,
                "200": _reply("Complete", "Wait"),
                "404": _reply("The primary has no such reference", "Wait"),
                "408": _reply("Not complete in time", "Wait"),
                "409": _reply("No rule sends it there", "Wait"),
                "502": _reply("The primary does not say what the reference names", "Wait"),
            },
        }
    },
    "/api/v1/explain": {
        "get": {
            "summary": "Where a reference is: rules, queue, errors, what is missing on each replica, and when next.",
            "parameters": [
                _query("ref", _REF, TEXT, required=True),
                _query("replica", "May stand several times; none: all", TEXT),
            ],
            "responses": {"200": _reply("The answer, whatever it is", "Explained"), **_REFUSALS},
        }
    },
    "/api/v1/changes": {
        "post": {
            "summary": "Say that a reference may have changed, as a webhook would.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema("Change")}},
            },
            "responses": {
                **_REFUSALS,
                "202": _reply("Kept on disk; the work follows", "Changes"),
                "409": _reply("No rule sends it there", "Error"),
                "413": _reply("The body is too large", "Error"),
                "415": _reply("Not application/json", "Error"),
            },
        }
    },
    "/api/v1/ignore": {
        "post": {
            "summary": "Decide that replicas need not have what a reference names now; `undo` takes it back.",
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema("Ignore")}}},
            "responses": {
                **_REFUSALS,
                "200": _reply("What came of it on each replica", "Ignored"),
                "413": _reply("The body is too large", "Error"),
                "415": _reply("Not application/json", "Error"),
            },
        }
    },
    "/api/v1/retry": {
        "post": {
            "summary": "Try what failed again now, parked or not: all of it, of some replicas, or of one reference.",
            "requestBody": {"content": {"application/json": {"schema": schema("Retry")}}},
            "responses": {
                **_REFUSALS,
                "200": _reply("So many are due now", "Retried"),
                "413": _reply("The body is too large", "Error"),
                "415": _reply("Not application/json", "Error"),
            },
        }
    },
    "/api/v1/sync": {
        "post": {
            "summary": "Sweep now: what differs on the replicas themselves becomes owed. Answered once it began.",
            "requestBody": {"content": {"application/json": {"schema": schema("SyncOrder")}}},
            "responses": {
                **_REFUSALS,
                "202": _reply("It has begun", "Sync"),
                "413": _reply("The body is too large", "Error"),
                "415": _reply("Not application/json", "Error"),
            },
        }
    },
    "/api/v1/sync/{id}": {
        "get": {
            "summary": "How far a sync is; the last 20 that have ended are remembered.",
            "parameters": [
                {"name": "id", "in": "path", "description": "As POST answered it", "schema": TEXT, "required": True}
            ],
            "responses": {
                **_REFUSALS,
                "200": _reply("So far it is", "Sync"),
                "404": _reply("No sync of this id is remembered", "Error"),
            },
        }
    },
    "/api/v1/lanes/{replica}/pause": _order("Work for a replica no more; copies under way end, and its lag grows."),
    "/api/v1/lanes/{replica}/resume": _order("Work for a replica again, or delete there again.", body="Resume"),
    "/api/v1/openapi.json": {
        "get": {
            "summary": "This document.",
            "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {}}}, **_REFUSALS},
        }
    },
}

DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "replicator admin API", "version": __version__},
    "security": [{"token": []}],
    "paths": _PATHS,
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": SCHEMAS,
    },
}
