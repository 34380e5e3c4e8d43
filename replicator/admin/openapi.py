"""The OpenAPI 3.1 document of the admin listener, as `/api/v1/openapi.json` serves it."""

from typing import Any, Final

from replicator import __version__

_NUMBER: Final = {"type": "number"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _schema(name)}


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _reply(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _schema(schema)}}}


def _query(name: str, description: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, "required": required}


_SCHEMAS: Final = {
    "Failure": _object({"code": _TEXT, "message": _TEXT}),
    "Error": _object({"error": _schema("Failure")}),
    "Health": _object({"status": {"enum": ["ok", "failing"]}, "problem": _TEXT, "store_seconds": _NUMBER}),
    "Replica": _object(
        {
            "name": _TEXT,
            "labels": {"type": "object", "additionalProperties": _TEXT},
            "state": {"enum": ["running", "paused", "open", "seeding", "stopped"]},
            "lag_seconds": _NUMBER,
            "owed": _COUNT,
            "parked": _COUNT,
            "failing": {"type": "object", "additionalProperties": _COUNT},
            "inflight": _COUNT,
            "last_error": _TEXT,
            "last_success": {"type": ["number", "null"], "description": "Unix seconds"},
        }
    ),
    "Totals": _object(
        {"lag_seconds": _NUMBER, "owed": _COUNT, "parked": _COUNT, "failing": _COUNT, "inflight": _COUNT}
    ),
    "Row": _object(
        {
            "replica": _TEXT,
            "repository": _TEXT,
            "reference": _TEXT,
            "state": {"enum": ["owed", "failing", "parked"]},
            "wanted": _TEXT_OR_NULL,
            "have": _TEXT_OR_NULL,
            "owed_seconds": _NUMBER,
            "due_at": {"type": ["number", "null"], "description": "Unix seconds"},
            "attempts": _COUNT,
            "reason": _TEXT_OR_NULL,
            "message": _TEXT,
        }
    ),
    "Status": _object(
        {
            "version": _TEXT,
            "daemon": _FLAG,
            "read_at": _NUMBER,
            "replicas": _list("Replica"),
            "totals": _schema("Totals"),
            "rows": _list("Row"),
            "next": _TEXT_OR_NULL,
        },
        optional=("rows", "next"),
    ),
    "Awaited": _object({"replica": _TEXT, "complete": _FLAG, "waiting_for": _TEXT}),
    "Wait": _object(
        {
            "ref": _TEXT,
            "digest": _TEXT_OR_NULL,
            "complete": _FLAG,
            "replicas": _list("Awaited"),
            "seconds": _NUMBER,
            "error": _schema("Failure"),
        },
        optional=("error",),
    ),
    "Change": _object(
        {
            "ref": _TEXT,
            "replicas": {"type": "array", "items": _TEXT},
            "priority": {"enum": ["high", "normal", "low", None]},
        },
        optional=("replicas", "priority"),
    ),
    "Recorded": _object({"replica": _TEXT, "result": {"enum": ["accepted", "coalesced", "known"]}}),
    "Changes": _object({"ref": _TEXT, "changes": _list("Recorded")}),
}

_REFUSALS: Final = {
    "400": _reply("Not understood; the message says what would be right.", "Error"),
    "401": _reply("A Bearer token is needed.", "Error"),
    "403": _reply("Closed beyond loopback without a token, or asked for by a host name.", "Error"),
    "503": _reply("The store cannot answer, or the daemon is busy or stopping; Retry-After says when.", "Error"),
}

_PROBE: Final = {"200": _reply("It works.", "Health"), "503": _reply("It does not.", "Health")}
_REF: Final = "repository:tag or repository@digest, also with the primary's host in front"

_PATHS: Final[dict[str, Any]] = {
    "/healthz": {"get": {"summary": "Is the event loop alive, and the store?", "security": [], "responses": _PROBE}},
    "/readyz": {"get": {"summary": "Is the store writable, and intake open?", "security": [], "responses": _PROBE}},
    "/metrics": {
        "get": {
            "summary": "Metrics; OpenMetrics where Accept asks for it.",
            "security": [],
            "responses": {"200": {"description": "The page", "content": {"text/plain": {"schema": _TEXT}}}},
        }
    },
    "/api/v1/status": {
        "get": {
            "summary": "What each replica owes, how late it is, and why.",
            "parameters": [
                _query("owed", "1 lists the owed rows", {"enum": ["0", "1"]}),
                _query("parked", "1 lists the parked rows only", {"enum": ["0", "1"]}),
                _query("replica", "Only this replica", _TEXT),
                _query("after", "The `next` of the answer before", _TEXT),
                _query("limit", "Rows in one answer", {"type": "integer", "minimum": 1, "maximum": 1000}),
            ],
            "responses": {"200": _reply("The status", "Status"), **_REFUSALS},
        }
    },
    "/api/v1/wait": {
        "get": {
            "summary": "Wait until the digest that `ref` names on the primary now is complete on the replicas.",
            "parameters": [
                _query("ref", _REF, _TEXT, required=True),
                _query("replica", "May stand several times; none: all that a rule names", _TEXT),
                _query("timeout", "Seconds, or as 30s, 5m; at most an hour, 30 s if absent", _TEXT),
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
    "/api/v1/changes": {
        "post": {
            "summary": "Say that a reference may have changed, as a webhook would.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _schema("Change")}},
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
        "schemas": _SCHEMAS,
    },
}
