"""Mistakes about who may do what: endpoints, credentials, secrets, certificates. None of them is ever repeated."""

from pathlib import Path

import pytest

from tests.unit.settings.files import BASE, but, mistakes

ENDPOINT = BASE + "webhooks:\n  endpoints:\n"

CASES = {
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
    "endpoint format unknown": (
        ENDPOINT + "    - {path: /a, auth: none, format: tencent}",
        (
            "7: webhooks.endpoints[0].format: is not what it may be; write distribution, auto, acr, aliyun, "
            "dockerhub, ecr, eventgrid, gar, generic, ghcr, gitea, gitlab, harbor, jfrog, nexus, quay, sns or zot"
        ),
    ),
    "endpoint format generic without a description": (
        ENDPOINT + "    - {path: /a, auth: none, format: generic}",
        ("7: webhooks.endpoints[0]: does not say where the names are; add generic: {repository: PATH, tag: PATH}"),
    ),
    "endpoint description without the format": (
        ENDPOINT + "    - {path: /a, auth: none, generic: {repository: r, tag: t}}",
        ("7: webhooks.endpoints[0].generic: is of no use with another format; write format: generic, or remove it"),
    ),
    "endpoint description with two places for a repository": (
        ENDPOINT + "    - {path: /a, auth: none, format: generic, generic: {repository: r, image: i}}",
        (
            "7: webhooks.endpoints[0].generic: does not say once where the repository is; "
            "write either repository: PATH or image: PATH"
        ),
    ),
    "endpoint description without a reference": (
        ENDPOINT + "    - {path: /a, auth: none, format: generic, generic: {repository: r}}",
        (
            "7: webhooks.endpoints[0].generic: says neither where the tag nor where the digest is; "
            "add tag: PATH or digest: PATH"
        ),
    ),
    "endpoint description with meanings of nothing": (
        ENDPOINT + "    - {path: /a, auth: none, format: generic, generic: {image: i, deletes: [gone]}}",
        ("7: webhooks.endpoints[0].generic: says what actions mean but not where they are; add action: PATH"),
    ),
    "endpoint description with a path of another language": (
        ENDPOINT + "    - {path: /a, auth: none, format: generic, generic: {image: $.image}}",
        (
            "7: webhooks.endpoints[0].generic.image: is not a path: it begins with $, which other languages need and "
            "this one does without; write keys with dots between them, as in data.tags[*]"
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
    "signature without its key": (
        ENDPOINT + "    - {path: /a, auth: {hmac_sha256: {}}}",
        "7: webhooks.endpoints[0].auth.hmac_sha256: holds no secret; add secret_file: PATH or secret_env: VARIABLE",
    ),
    "key of no standard webhook": (
        ENDPOINT + "    - {path: /a, auth: {standard_webhooks: {secret_file: secret}}}",
        (
            "7: webhooks.endpoints[0].auth.standard_webhooks: the secret in {directory}/secret is no key; "
            "write whsec_ and the key in base64 there"
        ),
    ),
    "sns without its signature": (
        ENDPOINT + "    - {path: /a, format: sns, auth: none}",
        (
            "7: webhooks.endpoints[0]: SNS is proven by its own signature, and nobody else by it; "
            "write format: sns together with auth: {sns: {topics: [ARN]}}"
        ),
    ),
    "topic of sns": (
        ENDPOINT + "    - {path: /a, format: sns, auth: {sns: {topics: [ecr-events]}}}",
        (
            "7: webhooks.endpoints[0].auth.sns.topics[0]: is not the ARN of a topic; "
            "write arn:aws:sns:REGION:ACCOUNT:NAME"
        ),
    ),
    "claims of a token": (
        ENDPOINT + "    - {path: /a, auth: {jwt: {issuer: http://a, audience: [b], claims: {email: c}}}}",
        (
            "7: webhooks.endpoints[0].auth.jwt.issuer: is not an address by HTTPS; "
            "write https://HOST/PATH, without ? and without a password"
        ),
    ),
    "query name": (
        ENDPOINT + '    - {path: /a, auth: {query: {name: "a&b", value_file: secret}}}',
        ("7: webhooks.endpoints[0].auth.query.name: is not the name of a query parameter; write a name, as in token"),
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
    "secret's file missing where there may be several": (
        ENDPOINT + "    - {path: /a, auth: {bearer_token_file: missing}}",
        (
            "7: webhooks.endpoints[0].auth.bearer_token_file: the file {directory}/missing cannot be read "
            "(No such file or directory); write the path of a file that holds the secret"
        ),
    ),
    "no file where there may be several": (
        ENDPOINT + "    - {path: /a, auth: {bearer_token_file: []}}",
        "7: webhooks.endpoints[0].auth.bearer_token_file: is empty; write at least one, or remove the key",
    ),
    "secret's file of another kind": (
        BASE + "admin: {token_file: 17}",
        "5: admin.token_file: is not text; write the path of the file that holds the secret",
    ),
    "secret's file without a name": (
        BASE + 'admin: {token_file: ""}',
        "5: admin.token_file: is not a path; write the path of a readable file",
    ),
    "secret's file at nobody's home": (
        BASE + "admin: {token_file: ~nobody-like-that/token}",
        "5: admin.token_file: begins with ~ and no home directory is known; write the whole path",
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
    "certificate empty": (
        but("registry.example.com}", "registry.example.com, tls: {ca_file: nothing}}"),
        "2: primary.tls.ca_file: the file {directory}/nothing is empty; write the path of a readable file",
    ),
    "certificate of another kind": (
        but("registry.example.com}", "registry.example.com, tls: {ca_file: [a]}}"),
        "2: primary.tls.ca_file: is a list; write the path of a file",
    ),
    "two passwords of a sender": (
        ENDPOINT + "    - {path: /a, auth: {basic: {username: a, password_env: A, password_file: secret}}}",
        "7: webhooks.endpoints[0].auth.basic.password_env: stands beside password_file; keep one of them",
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
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "nothing").touch()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "two-lines").write_text("hunter2\nand more\n")
    return tmp_path


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_in_full(directory: Path, text: str, expected: str) -> None:
    assert mistakes(directory, text, A="secret", EMPTY="") == [expected.replace("{directory}", str(directory))]


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
    "in braces": but("com}\n", "com, credentials: {username: a, password: {hunter2}}}\n"),
    "in braces under a known key": but("com}\n", "com, credentials: {username: a, password_file: {hunter2}}}\n"),
    "in braces in a not supported key": but("com}\n", "com, proxy: {a: {hunter2}}}\n"),
    "in brackets": but("com}\n", "com, credentials: {username: a, password_env: [{hunter2}]}}\n"),
    "in broken YAML": BASE + 'admin: {token: "hunter2\n',
    "beside a broken escape": BASE + 'admin: {token: "hunter2\\q"}\n',
    "in place of a number": but("com}\n", "com, max_connections: hunter2}\n"),
    "in a not supported key": but("com}\n", "com, proxy: http://me:hunter2@proxy}\n"),
}


@pytest.mark.parametrize("text", SPOTS.values(), ids=SPOTS)
def test_a_message_never_repeats_what_may_be_a_secret(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in "\n".join(mistakes(tmp_path, text))
