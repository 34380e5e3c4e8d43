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
    "unknown key at the top": (
        BASE + "web_hooks: {}",
        "5: web_hooks: is not a known key; did you mean webhooks?",
    ),
    "duplicate key": (
        BASE + "log: {level: info}\nshutdown: {}\nlog: {level: debug}",
        "7: log: is written twice, first on line 5; keep one of them",
    ),
    "empty value": (
        BASE + "rules:\n  # nothing yet\n",
        "5: rules: has no value; write one, or remove the key",
    ),
    "duration without unit": (
        BASE + "shutdown: {grace: 30}",
        f"5: shutdown.grace: has no unit; {UNIT}",
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
    "endpoint without auth": (
        ENDPOINT + "    - path: /a",
        "7: webhooks.endpoints[0].auth: is missing; add it, as in auth: {bearer_token_file: /run/secrets/hook}",
    ),
    "endpoint auth of the wrong kind": (
        ENDPOINT + "    - {path: /a, auth: true}",
        "7: webhooks.endpoints[0].auth: is true or false; write a mapping, as in {key: value} or the word none",
    ),
    "endpoint path without a slash": (
        ENDPOINT + "    - {path: a, auth: none}",
        (
            "7: webhooks.endpoints[0].path: is not the path of a URL; "
            "write a path, as in /webhooks/primary, without ? or #"
        ),
    ),
    "endpoint paths not unique": (
        ENDPOINT + "    - {path: /a, auth: none}\n    - {path: /a, auth: none}",
        "8: webhooks.endpoints[1].path: '/a' is taken by endpoints[0]; choose another",
    ),
    "endpoint names not unique": (
        ENDPOINT + "    - {path: /x/hook, auth: none}\n    - {path: /y/hook, auth: none}",
        "8: webhooks.endpoints[1].name: 'hook' is taken by endpoints[0]; choose another",
    ),
    "two ways to prove who sends": (
        ENDPOINT + "    - {path: /a, auth: {bearer_token_env: A, header: {name: X, value_env: A}}}",
        "7: webhooks.endpoints[0].auth: holds several ways to prove who sends; keep one of them",
    ),
    "no way to prove who sends": (
        ENDPOINT + "    - {path: /a, auth: {}}",
        "7: webhooks.endpoints[0].auth: is empty; write bearer_token_file: PATH, or the word none",
    ),
    "basic auth without its password": (
        ENDPOINT + "    - {path: /a, auth: {basic: {username: a}}}",
        "7: webhooks.endpoints[0].auth.basic: holds no secret; add password_file: PATH or password_env: VARIABLE",
    ),
    "user name with a colon": (
        ENDPOINT + '    - {path: /a, auth: {basic: {username: "a:b", password_env: A}}}',
        "7: webhooks.endpoints[0].auth.basic.username: is not a user name; write text without a colon",
    ),
    "header name": (
        ENDPOINT + '    - {path: /a, auth: {header: {name: "X Y", value_env: A}}}',
        (
            "7: webhooks.endpoints[0].auth.header.name: is not the name of an HTTP header; "
            "write a name, as in X-Hook-Token"
        ),
    ),
    "user name without a password": (
        but("registry.example.com}", "registry.example.com, credentials: {username: me}}"),
        (
            "2: primary.credentials: has a user name without a password; "
            "add password_file: PATH or password_env: VARIABLE"
        ),
    ),
    "password without a user name": (
        but("registry.example.com}", "registry.example.com, credentials: {password_env: A}}"),
        "2: primary.credentials: has a password without a user name; add username: NAME",
    ),
    "credentials of two kinds": (
        but("registry.example.com}", "registry.example.com, credentials: {token_env: A, identity_token_env: A}}"),
        "2: primary.credentials: holds token and identity token; keep one way to log in",
    ),
    "secret from a file and a variable": (
        BASE + "admin: {token_env: A, token_file: secret}",
        "5: admin.token_env: stands beside token_file; keep one of them",
    ),
    "empty credentials": (
        but("registry.example.com}", "registry.example.com, credentials: {}}"),
        "2: primary.credentials: is empty; write username and password_file, or remove it to be anonymous",
    ),
    "password written inline": (
        but("registry.example.com}", "registry.example.com, credentials: {username: me, password: hunter2}}"),
        (
            "2: primary.credentials.password: a secret cannot stand in this file; "
            "write password_file: PATH or password_env: VARIABLE"
        ),
    ),
    "password under a mistyped key": (
        but("registry.example.com}", "registry.example.com, credentials: {token_env: A, pasword_file: hunter2}}"),
        "2: primary.credentials.pasword_file: is not a known key; did you mean password_file?",
    ),
    "secret's variable unset": (
        BASE + "admin: {token_env: NOT_SET}",
        "5: admin.token_env: the environment variable NOT_SET is not set; set it before the daemon starts",
    ),
    "secret's variable empty": (
        BASE + "admin: {token_env: EMPTY}",
        "5: admin.token_env: the environment variable EMPTY is empty; set it before the daemon starts",
    ),
    "secret in place of its variable's name": (
        BASE + "admin: {token_env: hunter-2}",
        "5: admin.token_env: is not the name of an environment variable; write a name, as in REPLICATOR_PASSWORD",
    ),
    "secret's file missing": (
        BASE + "admin: {token_file: missing}",
        (
            "5: admin.token_file: the file {directory}/missing cannot be read (No such file or directory); "
            "write the path of a file that holds the secret"
        ),
    ),
    "secret's file empty": (
        ENDPOINT + "    - path: /a\n      auth:\n        bearer_token_file: [secret, empty]",
        (
            "9: webhooks.endpoints[0].auth.bearer_token_file[1]: the file {directory}/empty is empty; "
            "write the path of a file that holds the secret"
        ),
    ),
    "secret's file is a directory": (
        BASE + "admin: {token_file: .}",
        (
            "5: admin.token_file: the file {directory} cannot be read (Is a directory); "
            "write the path of a file that holds the secret"
        ),
    ),
    "secret of two lines": (
        BASE + "admin: {token_file: two-lines}",
        (
            "5: admin.token_file: the secret holds control characters or several lines; "
            "write the secret alone, on one line"
        ),
    ),
    "certificate missing": (
        but("registry.example.com}", "registry.example.com, tls: {ca_file: ca.pem}}"),
        (
            "2: primary.tls.ca_file: the file {directory}/ca.pem cannot be read (No such file or directory); "
            "write the path of a readable file"
        ),
    ),
    "key without its certificate": (
        but("registry.example.com}", "registry.example.com, tls: {key_file: secret}}"),
        "2: primary.tls.key_file: is a key without its certificate; add cert_file: PATH",
    ),
    "own certificates and no verification": (
        but("registry.example.com}", "registry.example.com, tls: {ca_file: secret, insecure_skip_verify: true}}"),
        "2: primary.tls.ca_file: is of no use beside insecure_skip_verify: true; remove one of them",
    ),
    "TLS settings for plain HTTP": (
        but("https://eu.example.com}", "http://eu.example.com, tls: {insecure_skip_verify: true}}"),
        "4: replicas[0].tls: is of no use with an http:// URL; write https:// in the URL, or remove tls:",
    ),
    "store in memory": (
        BASE + 'store: {url: "sqlite://"}',
        (
            "5: store.url: is not the URL of a store; "
            "write sqlite:////PATH, as in sqlite:////var/lib/replicator/replicator.db"
        ),
    ),
    "first pause longer than the longest": (
        BASE + "retry: {first: 10m}",
        "5: retry.first: is longer than retry.max; write a shorter pause than retry.max",
    ),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "two-lines").write_text("hunter2\nand more\n")
    return tmp_path


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_in_full(directory: Path, text: str, expected: str) -> None:
    assert mistakes(directory, text, A="secret", EMPTY="") == [expected.replace("{directory}", str(directory))]


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
sweep: {every: 1h}
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
        ["10", "sweep"],
        ["11", "log.level"],
        ["12", "log"],
    ]


SPOTS = {
    "password in a URL": but("https://registry", "https://me:hunter2@registry"),
    "inline under its own name": but("com}\n", "com, credentials: {username: a, password: hunter2}}\n"),
    "inline under any name": but("com}\n", "com, credentials: {username: a, pwd: hunter2}}\n"),
    "in place of a mapping": but("com}\n", "com, credentials: hunter2}\n"),
    "in place of a list": BASE + "webhooks: {endpoints: hunter2}",
    "in place of a word": BASE + "log: {level: hunter2}",
    "in the path of an endpoint": ENDPOINT + "    - {path: /hook?key=hunter2, auth: none}",
    "in place of none": ENDPOINT + "    - {path: /a, auth: hunter2}",
    "as an alias": BASE + "admin: {token: *hunter2 }",
    "as a tag": BASE + "admin: {token: !hunter2 x}",
    "as the handle of a tag": BASE + "admin: {token: !hunter2!x y}",
    "as an anchor twice": BASE + "admin: {token: &hunter2 a, token_env: &hunter2 b}",
    "in broken YAML": BASE + 'admin: {token: "hunter2\n',
    "beside a broken escape": BASE + 'admin: {token: "hunter2\\q"}\n',
    "in place of a number": but("com}\n", "com, max_connections: hunter2}\n"),
    "in a not supported key": but("com}\n", "com, proxy: http://me:hunter2@proxy}\n"),
}


@pytest.mark.parametrize("text", SPOTS.values(), ids=SPOTS)
def test_a_message_never_repeats_what_may_be_a_secret(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in "\n".join(mistakes(tmp_path, text))


def test_a_file_that_is_not_there_is_told_like_any_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "absent.yaml", {})
    assert str(caught.value) == (
        f"{tmp_path}/absent.yaml:1: (file): cannot be read (No such file or directory); "
        "give the path of the configuration file"
    )
