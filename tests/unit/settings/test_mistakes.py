"""Each mistake is told with its line, its key path, what is wrong and what would be right; all of them at once."""

from pathlib import Path

import pytest

from replicator.errors import SettingsError
from replicator.settings.load import load
from tests.unit.settings.files import BASE, but, mistakes

PRIMARY = "primary: {url: https://registry.example.com}"
REPLICA = "{name: eu-west, url: https://eu.example.com}"
ENDPOINT = BASE + "webhooks:\n  endpoints:\n"
UNIT = "write a whole number and ms, s, m, h or d, as in 30s"
URL = "write only https://HOST or https://HOST:PORT"

CASES = {
    "version missing": (
        but("version: 1\n", ""),
        "1: version: is missing; add it, as in version: 1",
    ),
    "version unknown": (
        but("version: 1", "version: 2"),
        "1: version: is not what it may be; write 1",
    ),
    "primary missing": (
        but(PRIMARY + "\n", ""),
        "1: primary: is missing; add it, as in primary: {url: 'https://registry.example.com'}",
    ),
    "no replicas": (
        but(f"replicas:\n  - {REPLICA}", "replicas: []"),
        "3: replicas: is empty; write at least one, or remove the key",
    ),
    "unknown key with a near one": (
        but("registry.example.com}", "registry.example.com, max_conections: 3}"),
        "2: primary.max_conections: is not a known key; did you mean max_connections?",
    ),
    "unknown key with none near": (
        BASE + "log: {zebra: 1}",
        "5: log.zebra: is not a known key; known here: level, format",
    ),
    "capability misspelt": (
        but("registry.example.com}", "registry.example.com, capabilities: {mounts: false}}"),
        "2: primary.capabilities.mounts: is not a known key; did you mean mount?",
    ),
    "capability of the wrong kind": (
        but("eu.example.com}", "eu.example.com, capabilities: {resume: sometimes}}"),
        "4: replicas[0].capabilities.resume: is text; write true or false",
    ),
    "upload mode unknown": (
        but("eu.example.com}", "eu.example.com, capabilities: {upload: fast}}"),
        "4: replicas[0].capabilities.upload: is not what it may be; write put, stream or chunks",
    ),
    "chunks that cannot be": (
        but("eu.example.com}", "eu.example.com, capabilities: {chunk_min: 64MiB, chunk_max: 4MiB}}"),
        "4: replicas[0].capabilities.chunk_min: is more than chunk_max; write at most chunk_max",
    ),
    "unknown key at the top": (
        BASE + "web_hooks: {}",
        "5: web_hooks: is not a known key; did you mean webhooks?",
    ),
    "duplicate key": (
        BASE + "log: {level: info}\nshutdown: {}\nlog: {level: debug}",
        "7: log: is written twice, first on line 5; keep one of them",
    ),
    "empty value in a list": (
        BASE + "rules:\n  - tags:\n      - v*\n      -\n",
        "8: rules[0].tags[1]: has no value; write one, or remove the key",
    ),
    "empty label": (
        but("eu.example.com}", "eu.example.com, labels: {region: }}"),
        "4: replicas[0].labels.region: has no value; write one, or remove the key",
    ),
    "key with control characters": (
        BASE + '"log\\nlevel": info',
        (
            "5: 'log\\nlevel': is not a known key; known here: version, primary, replicas, rules, webhooks, admin, "
            "store, sweep, verify, deletes, retry, objective, shutdown, notify, log"
        ),
    ),
    "empty value": (
        BASE + "rules:\n  # nothing yet\n",
        "5: rules: has no value; write one, or remove the key",
    ),
    "duration without unit": (
        BASE + "shutdown: {grace: 30}",
        f"5: shutdown.grace: has no unit; {UNIT}",
    ),
    "duration of another kind": (
        BASE + "shutdown: {grace: [30s]}",
        f"5: shutdown.grace: is not text; {UNIT}",
    ),
    "duration of another kind where two are compared": (
        BASE + "retry: {first: 10s, max: 5}",
        f"5: retry.max: has no unit; {UNIT}",
    ),
    "duration with an unknown unit": (
        BASE + "objective:\n  lag: 15min",
        f"6: objective.lag: '15min' is not understood; {UNIT}",
    ),
    "duration out of bounds": (
        BASE + "webhooks: {untagged_hold: 2h}",
        "5: webhooks.untagged_hold: is too large; write at most 1h",
    ),
    "size with a decimal unit": (
        ENDPOINT + "    - {path: /a, auth: none, max_body: 8MB}",
        (
            "7: webhooks.endpoints[0].max_body: '8MB' is not understood; "
            "write a whole number and KiB, MiB or GiB, as in 8MiB"
        ),
    ),
    "size too small": (
        ENDPOINT + "    - {path: /a, auth: none, max_body: 1B}",
        "7: webhooks.endpoints[0].max_body: is too small; write at least 1KiB",
    ),
    "number out of bounds": (
        but("registry.example.com}", "registry.example.com, max_connections: 0}"),
        "2: primary.max_connections: is too small; write at least 1",
    ),
    "percent of zero": (
        BASE + "objective: {percent: 0}",
        "5: objective.percent: is too small; write more than 0",
    ),
    "text for a number": (
        but("registry.example.com}", "registry.example.com, max_connections: many}"),
        "2: primary.max_connections: is text; write a whole number",
    ),
    "a region that YAML takes for a boolean": (
        but("eu-west", "no"),
        "4: replicas[0].name: is true or false to YAML; put it in quotes",
    ),
    "text for a list": (
        BASE + "rules:\n  - repositories: team/**",
        "6: rules[0].repositories: is text; write a list, as in [one, two]",
    ),
    "list for a mapping": (
        BASE + "log: [info]",
        "5: log: is a list; write a mapping, as in {key: value}",
    ),
    "a word that is none of the allowed": (
        BASE + "rules:\n  - priority: urgent",
        "6: rules[0].priority: is not what it may be; write high, normal or low",
    ),
    "replica name with capitals": (
        but("eu-west", "EU_West"),
        "4: replicas[0].name: is not a name; write lower-case letters, digits and dashes, at most 63",
    ),
    "replica names not unique": (
        BASE + "  - {name: eu-west, url: https://eu2.example.com}",
        "5: replicas[1].name: 'eu-west' is taken by replicas[0]; choose another",
    ),
    "replica called primary": (
        but("eu-west", "primary"),
        "4: replicas[0].name: primary always means the primary; choose another name",
    ),
    "replica at the primary's own place": (
        but("https://eu.example.com", "https://REGISTRY.example.com/"),
        "4: replicas[0].url: is the same place as the primary; write another URL or repository_prefix",
    ),
    "rule names no replica": (
        BASE + "rules:\n  - replicas: [eu-west, us-east]",
        "6: rules[0].replicas[1]: 'us-east' is the name of no replica; write eu-west",
    ),
    "rule names a replica twice": (
        BASE + "rules:\n  - replicas: [eu-west, eu-west]",
        "6: rules[0].replicas[1]: 'eu-west' is named twice; remove one of them",
    ),
    "source names no replica": (
        but("eu.example.com}", "eu.example.com, source: us-east}"),
        "4: replicas[0].source: 'us-east' is no other replica; write primary or eu-west",
    ),
    "URL of another scheme": (
        but("https://registry", "ftp://registry"),
        "2: primary.url: does not start with https:// or http://; write https://HOST or https://HOST:PORT",
    ),
    "URL without a scheme": (
        but("https://registry.example.com", "registry.example.com"),
        "2: primary.url: does not start with https:// or http://; write https://HOST or https://HOST:PORT",
    ),
    "URL with a password": (
        but("https://registry", "https://me:hunter2@registry"),
        "2: primary.url: holds a user name or password; write them under credentials:, the password in a file",
    ),
    "URL with a query": (
        but("https://registry.example.com", "'https://registry.example.com?hunter2'"),
        f"2: primary.url: holds a query or fragment; {URL}",
    ),
    "URL with a path": (
        but("registry.example.com", "registry.example.com/v2/"),
        f"2: primary.url: holds a path; {URL}; repository_prefix: puts names below a path",
    ),
    "URL with a bad port": (
        but("registry.example.com", "registry.example.com:http"),
        "2: primary.url: is not a URL; write https://HOST or https://HOST:PORT",
    ),
    "URL without a host": (
        but("https://registry.example.com", '"https://"'),
        "2: primary.url: names no valid host; write https://HOST or https://HOST:PORT",
    ),
    "prefix without its slash": (
        but("eu.example.com}", "eu.example.com, repository_prefix: mirror}"),
        "4: replicas[0].repository_prefix: 'mirror' does not end with a slash; write mirror/",
    ),
    "prefix that is no repository name": (
        but("eu.example.com}", "eu.example.com, repository_prefix: /Mirror/}"),
        (
            "4: replicas[0].repository_prefix: '/Mirror/' does not begin a repository name; "
            "write lower-case words and slashes, as in mirror/"
        ),
    ),
    "label name": (
        but("eu.example.com}", "eu.example.com, labels: {Region: x}}"),
        (
            "4: replicas[0].labels.Region: is not a label name; "
            "write lower-case letters, digits, _ and -, a letter first"
        ),
    ),
    "allowed host written as a URL": (
        but("registry.example.com}", 'registry.example.com, realm_allow: ["https://auth.example.com"]}'),
        "2: primary.realm_allow[0]: is not a host; write HOST or HOST:PORT, without https:// and without a path",
    ),
    "glob with brackets": (
        BASE + 'rules:\n  - tags:\n      - v*\n      - "v[12]"',
        (
            "8: rules[0].tags[1]: 'v[12]' is not a pattern: a glob holds letters, digits, . _ - / and the wildcards "
            "* ** ?; see the pattern language in docs/configuration.md"
        ),
    ),
    "semver on repositories": (
        BASE + 'rules:\n  - repositories: ["semver:>1"]',
        (
            "6: rules[0].repositories[0]: 'semver:>1' is not a pattern: semver: is for tags; "
            "see the pattern language in docs/configuration.md"
        ),
    ),
    "semver range": (
        BASE + 'rules:\n  - tags: ["semver:new"]',
        (
            "6: rules[0].tags[0]: 'semver:new' is not a pattern: not a range of versions; "
            "see the pattern language in docs/configuration.md"
        ),
    ),
    "regular expression": (
        BASE + 'rules:\n  - tags: ["regex:("]',
        (
            "6: rules[0].tags[0]: 'regex:(' is not a pattern: not a regular expression (missing ), unterminated "
            "subpattern at position 0); see the pattern language in docs/configuration.md"
        ),
    ),
    "longest pause not understood": (
        BASE + "retry: {first: 10s, max: 5x}",
        f"5: retry.max: '5x' is not understood; {UNIT}",
    ),
    "listen on a bare number": (
        BASE + "admin: {listen: 9464}",
        "5: admin.listen: is not an address to listen on; write HOST:PORT, as in 0.0.0.0:8080",
    ),
    "port that is none": (
        BASE + "admin: {listen: 127.0.0.1:65536}",
        "5: admin.listen: is not an address to listen on; write HOST:PORT, as in 0.0.0.0:8080",
    ),
    "store of another kind": (
        BASE + "store: {url: [a]}",
        "5: store.url: is a list; write text",
    ),
    "listen without a port": (
        BASE + "admin: {listen: 127.0.0.1}",
        "5: admin.listen: is not an address to listen on; write HOST:PORT, as in 0.0.0.0:8080",
    ),
    "both servers on one port": (
        BASE + "webhooks: {listen: 0.0.0.0:9464}",
        "5: webhooks.listen: is also the address of admin; choose another port",
    ),
    "both servers on one port, written in admin": (
        BASE + 'admin: {listen: "[::]:8080"}',
        "5: admin.listen: is also the address of webhooks; choose another port",
    ),
    "store in memory": (
        BASE + 'store: {url: "sqlite://"}',
        (
            "5: store.url: is not the URL of a store; "
            "write sqlite:////PATH, as in sqlite:////var/lib/replicator/replicator.db, or postgresql://USER@HOST/NAME"
        ),
    ),
    "password in the URL of a store": (
        BASE + "store: {url: 'postgresql://replicator:hunter2@db/replicator'}",
        "5: store.url: holds a password; write it beside url, as password_file: PATH",
    ),
    "the same as a parameter": (
        BASE + "store: {url: 'postgresql://replicator@db/replicator?password=hunter2'}",
        "5: store.url: holds a password; write it beside url, as password_file: PATH",
    ),
    "password of a key in the URL of a store": (
        BASE + "store: {url: 'postgresql://replicator@db/replicator?sslkey=/key.pem&sslpassword=hunter2'}",
        (
            "5: store.url: holds a secret (sslpassword); "
            "leave it away: a key without a password, in a file for the daemon alone"
        ),
    ),
    "store on no host": (
        BASE + "store: {url: 'postgresql:///replicator'}",
        (
            "5: store.url: names no host or no database; write postgresql://USER@HOST:PORT/NAME, "
            "several hosts with a comma between"
        ),
    ),
    "URL of a store that the library refuses": (
        BASE + "store: {url: 'postgresql://db/replicator?hunter2=1'}",
        (
            "5: store.url: is not the URL of a PostgreSQL database; write postgresql://USER@HOST:PORT/NAME, "
            "several hosts with a comma between"
        ),
    ),
    "first pause longer than the longest": (
        BASE + "retry: {first: 10m}",
        "5: retry.first: is longer than retry.max; write a shorter pause than retry.max",
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_in_full(tmp_path: Path, text: str, expected: str) -> None:
    assert mistakes(tmp_path, text) == [expected]


def test_a_store_has_one_password_and_only_on_a_server(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    one, server = "password_env: SECRET", "url: 'postgresql://u@db/x'"
    (in_file,) = mistakes(tmp_path, BASE + f"store: {{url: 'sqlite:////x/y.db', {one}}}", SECRET="hunter2")
    assert in_file == "5: store: has a password for a file; remove it, or write the url of a PostgreSQL database"
    (two,) = mistakes(tmp_path, BASE + f"store: {{{server}, {one}, password_file: secret}}", SECRET="hunter2")
    assert two == "5: store: has two passwords; write password_file: or password_env:"


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
version: 1
primary:
  url: https://registry.example.com
  credentials: {username: me, password: hunter2}
  bandwith: 3
replicas:
  - name: eu west
    url: https://eu.example.com/x
  - name: us-east
deletes: {grace: soon}
log: {level: chatty}
log: {format: xml}
"""
    found = [line.split(": ")[:2] for line in mistakes(tmp_path, text)]
    assert found == [
        ["4", "primary.credentials.password"],
        ["5", "primary.bandwith"],
        ["7", "replicas[0].name"],
        ["8", "replicas[0].url"],
        ["9", "replicas[1].url"],
        ["10", "deletes.grace"],
        ["11", "log.level"],
        ["12", "log"],
    ]


def test_a_file_that_is_not_there_is_told_like_any_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "absent.yaml", {})
    assert str(caught.value) == (
        f"{tmp_path}/absent.yaml:1: (file): cannot be read (No such file or directory); "
        "give the path of the configuration file"
    )
