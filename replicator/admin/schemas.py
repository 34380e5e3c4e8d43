"""The JSON Schemas of the API's documents, as its OpenAPI document holds them."""

from typing import Any, Final

NUMBER: Final = {"type": "number"}
COUNT: Final = {"type": "integer", "minimum": 0}
TEXT: Final = {"type": "string"}
FLAG: Final = {"type": "boolean"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
LINE_OR_NULL: Final = {"type": ["integer", "null"], "minimum": 1, "description": "Of the configuration file"}
SECONDS_OR_NULL: Final = {"type": ["number", "null"], "description": "Unix seconds"}


def record(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object; all properties but the `optional` are always there."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def list_of(name: str) -> dict[str, Any]:
    """Return the schema of a list of what is described by that name."""
    return {"type": "array", "items": schema(name)}


def schema(name: str) -> dict[str, str]:
    """Return the reference to what is described by that name."""
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: Final[dict[str, Any]] = {
    "Failure": record({"code": TEXT, "message": TEXT}),
    "Error": record({"error": schema("Failure")}),
    "Health": record({"status": {"enum": ["ok", "failing"]}, "problem": TEXT, "store_seconds": NUMBER}),
    "Replica": record(
        {
            "name": TEXT,
            "labels": {"type": "object", "additionalProperties": TEXT},
            "state": {"enum": ["running", "paused", "open", "seeding", "stopped"]},
            "paused_since": SECONDS_OR_NULL,
            "lag_seconds": NUMBER,
            "owed": COUNT,
            "parked": COUNT,
            "ignored": COUNT,
            "failing": {"type": "object", "additionalProperties": COUNT},
            "deletes": schema("Deletes"),
            "inflight": COUNT,
            "last_error": TEXT,
            "last_success": SECONDS_OR_NULL,
        }
    ),
    "Deletes": record(
        {
            "pending": COUNT,
            "left": {"type": "object", "additionalProperties": COUNT},
            "stopped_since": SECONDS_OR_NULL,
        }
    ),
    "Totals": record(
        {"lag_seconds": NUMBER, "owed": COUNT, "parked": COUNT, "ignored": COUNT, "failing": COUNT, "inflight": COUNT}
    ),
    "Row": record(
        {
            "replica": TEXT,
            "repository": TEXT,
            "reference": TEXT,
            "state": {"enum": ["owed", "failing", "parked", "ignored"]},
            "wanted": TEXT_OR_NULL,
            "have": TEXT_OR_NULL,
            "owed_seconds": NUMBER,
            "due_at": SECONDS_OR_NULL,
            "ignored_at": SECONDS_OR_NULL,
            "attempts": COUNT,
            "reason": TEXT_OR_NULL,
            "message": TEXT,
        }
    ),
    "Status": record(
        {
            "version": TEXT,
            "daemon": FLAG,
            "read_at": NUMBER,
            "replicas": list_of("Replica"),
            "totals": schema("Totals"),
            "rows": list_of("Row"),
            "next": TEXT_OR_NULL,
        },
        optional=("rows", "next"),
    ),
    "Awaited": record({"replica": TEXT, "complete": FLAG, "waiting_for": TEXT}),
    "Wait": record(
        {
            "ref": TEXT,
            "digest": TEXT_OR_NULL,
            "complete": FLAG,
            "replicas": list_of("Awaited"),
            "seconds": NUMBER,
            "error": schema("Failure"),
        },
        optional=("error",),
    ),
    "RefusedRule": record(
        {
            "rule": COUNT,
            "line": LINE_OR_NULL,
            "reason": {"enum": ["replicas", "repositories", "tags", "referrers"]},
            "patterns": {"type": "array", "items": TEXT},
        }
    ),
    "Queued": record(
        {
            "state": {"enum": ["clean", "owed", "failing", "parked", "ignored"]},
            "priority": {"enum": ["high", "normal", "low"]},
            "wanted": TEXT_OR_NULL,
            "have": TEXT_OR_NULL,
            "told_by": TEXT,
            "changes": COUNT,
            "owed_since": SECONDS_OR_NULL,
            "due_at": SECONDS_OR_NULL,
            "before": COUNT,
            "leased": FLAG,
            "look_at": SECONDS_OR_NULL,
            "attempts": COUNT,
            "failing_since": SECONDS_OR_NULL,
            "reason": TEXT_OR_NULL,
            "message": TEXT,
            "ignored_at": SECONDS_OR_NULL,
        }
    ),
    "Missing": record({"part": {"enum": ["manifest", "blob"]}, "digest": TEXT, "size": COUNT}),
    "Look": record(
        {
            "digest": TEXT_OR_NULL,
            "asked": COUNT,
            "unasked": COUNT,
            "lacking": COUNT,
            "missing": list_of("Missing"),
            "error": TEXT,
        }
    ),
    "ExplainedReplica": record(
        {
            "replica": TEXT,
            "verdict": {
                "enum": [
                    "there",
                    "coming",
                    "paused",
                    "parked",
                    "ignored",
                    "missing",
                    "no_rule",
                    "gone",
                    "unknown",
                ]
            },
            "message": TEXT,
            "next_at": SECONDS_OR_NULL,
            "rule": {"type": ["integer", "null"], "minimum": 0},
            "rule_line": LINE_OR_NULL,
            "refused": list_of("RefusedRule"),
            "lane": {"enum": ["running", "paused", "open", "seeding", "stopped"]},
            "paused_since": SECONDS_OR_NULL,
            "queue": {"anyOf": [schema("Queued"), {"type": "null"}]},
            "look": {"anyOf": [schema("Look"), {"type": "null"}]},
            "compared_at": SECONDS_OR_NULL,
        }
    ),
    "Named": record({"digest": TEXT_OR_NULL, "error": TEXT}),
    "Heard": record(
        {
            "received_at": NUMBER,
            "happened_at": SECONDS_OR_NULL,
            "endpoint": TEXT,
            "delivery": TEXT,
            "kind": {"enum": ["push", "delete"]},
            "digest": TEXT_OR_NULL,
            "owed": COUNT,
            "merged": COUNT,
            "known": COUNT,
            "unheeded": {"enum": ["no_rule", "other_host", None]},
        }
    ),
    "Unread": record({"endpoint": TEXT, "reason": TEXT, "received_at": NUMBER}),
    "Explained": record(
        {
            "version": TEXT,
            "daemon": FLAG,
            "read_at": NUMBER,
            "ref": TEXT,
            "ok": FLAG,
            "primary": schema("Named"),
            "replicas": list_of("ExplainedReplica"),
            "events": list_of("Heard"),
            "unread": list_of("Unread"),
        }
    ),
    "Change": record(
        {
            "ref": TEXT,
            "replicas": {"type": "array", "items": TEXT},
            "priority": {"enum": ["high", "normal", "low", None]},
            "damaged": {"type": "array", "items": TEXT, "maxItems": 500},
            "digest": TEXT_OR_NULL,
        },
        optional=("replicas", "priority", "damaged", "digest"),
    ),
    "Recorded": record({"replica": TEXT, "result": {"enum": ["accepted", "coalesced", "known"]}}),
    "Changes": record({"ref": TEXT, "changes": list_of("Recorded")}),
    "Retry": record(
        {"ref": TEXT, "replicas": {"type": "array", "items": TEXT}},
        optional=("ref", "replicas"),
    ),
    "RetriedReplica": record({"replica": TEXT, "due": COUNT, "paused_since": SECONDS_OR_NULL}),
    "Retried": record({"ref": TEXT_OR_NULL, "due": COUNT, "replicas": list_of("RetriedReplica")}),
    "Ignore": record(
        {"ref": TEXT, "replicas": {"type": "array", "items": TEXT}, "undo": FLAG}, optional=("replicas", "undo")
    ),
    "Decided": record(
        {
            "replica": TEXT,
            "result": {"enum": ["ignored", "was_ignored", "not_owed", "owed", "known", "not_ignored"]},
        }
    ),
    "Ignored": record({"ref": TEXT, "undo": FLAG, "replicas": list_of("Decided")}),
    "SyncOrder": record(
        {"repositories": {"type": "array", "items": TEXT}, "replicas": {"type": "array", "items": TEXT}},
        optional=("repositories", "replicas"),
    ),
    "SyncedReplica": record(
        {
            "replica": TEXT,
            "complete": FLAG,
            **dict.fromkeys(("found", "settled", "failed", "put"), COUNT),
            **dict.fromkeys(("bytes_to_send", "bytes_sent", "bytes_mounted"), COUNT),
            "problem": TEXT,
        }
    ),
    "FailedReference": record(dict.fromkeys(("replica", "repository", "reference", "reason", "message"), TEXT)),
    "Sync": record(
        {
            "id": TEXT,
            **dict.fromkeys(("complete", "searched", "ended"), FLAG),
            "repositories": COUNT,
            "replicas": list_of("SyncedReplica"),
            "failed": list_of("FailedReference"),
            "problems": {"type": "array", "items": TEXT},
            "refused": TEXT,
        }
    ),
    "Resume": record({"deletes": {"const": True}}, optional=("deletes",)),
    "Lane": record({"replica": TEXT, "paused_since": SECONDS_OR_NULL, "changed": FLAG}),
}
"""What answers and bodies look like, by name."""
