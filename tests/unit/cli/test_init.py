"""What `init` prints for each registry can be used as it is: the real loader takes it, a shell can run its steps."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from replicator.cli.main import main
from replicator.cli.quick_starts.every import KINDS, of_replica
from replicator.settings.load import load
from replicator.settings.schema import Settings
from tests.support.quick_start import QuickStart, quick_start, run_step

HOOK = "https://hooks.example.com/registry/pushes"


def _loaded(start: QuickStart, folder: Path) -> Settings:
    """Load the configuration with its secrets made as the steps say: step 1 is run, what is pasted is written."""
    run_step(start.step("Secrets"), folder)
    for file in start.files:
        if not (folder / file).exists():
            (folder / file).write_text("pasted\n")
    config = folder / "replicator.yaml"
    config.write_text(start.config)
    return load(config, {})


@pytest.mark.parametrize("kind", KINDS)
def test_the_loader_takes_it(kind: str, tmp_path: Path) -> None:
    start = quick_start("--primary", kind)
    settings = _loaded(start, tmp_path)
    (endpoint,), (replica,) = settings.webhooks.endpoints, settings.replicas
    assert endpoint.format == kind
    assert endpoint.auth is not None
    assert settings.primary.url == KINDS[kind].url
    assert settings.primary.credentials is not None
    cloud = {"acr": "azure", "eventgrid": "azure", "ecr": "aws", "sns": "aws", "gar": "gcp"}.get(kind)
    if cloud is None:
        assert settings.primary.credentials.username == KINDS[kind].pull_user
    else:
        assert getattr(settings.primary.credentials, cloud) is not None
        assert f'pip install "replicator[{cloud}]"' in start.step("read with")
        assert f"--build-arg EXTRAS={cloud} " in start.step("read with")
    assert replica.credentials is not None
    assert endpoint.hosts in {(), (settings.primary.url.removeprefix("https://"),)}


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.cloud is not None])
def test_what_may_be_written_instead_of_a_clouds_login_is_taken_too(kind: str, tmp_path: Path) -> None:
    start = quick_start("--primary", kind)
    _loaded(start, tmp_path)
    head, between, tail = re.split(r"( +credentials:.*\n(?: {4}.*\n)+?)(?=\nreplicas:)", start.config, maxsplit=1)
    others = re.findall(r"(?m)^ +# ((?:azure|aws|gcp): .*)$", between)
    password = re.findall(r"(?m)^ +# ((?:username|password_file): .*)$", between)
    for login in others:
        _loads(tmp_path, f"{head}  credentials:\n    {login}\n{tail}")
    settings = _loads(tmp_path, f"{head}  credentials:\n    {password[0]}\n    {password[1]}\n{tail}")
    assert settings.primary.credentials is not None
    assert settings.primary.credentials.username == KINDS[kind].pull_user


def _loads(folder: Path, text: str) -> Settings:
    (folder / "replicator.yaml").write_text(text)
    return load(folder / "replicator.yaml", {})


@pytest.mark.parametrize("kind", KINDS)
def test_it_names_what_the_user_named(kind: str, tmp_path: Path) -> None:
    replicas = {"eu": "https://eu.example.net", "us": "http://us.example.net:5000"}
    named = [word for name, url in replicas.items() for word in ("--replica", f"{name}={url}")]
    start = quick_start("--primary", kind, "--primary-url", "https://Images.example.net", *named, "--hook-url", HOOK)
    settings = _loaded(start, tmp_path)
    assert settings.primary.url == "https://images.example.net"
    assert {one.name: one.url for one in settings.replicas} == replicas
    assert [one.path for one in settings.webhooks.endpoints] == ["/registry/pushes"]
    assert HOOK in start.step("The webhook")


@pytest.mark.parametrize("kind", KINDS)
def test_every_secret_is_a_file_that_a_step_writes(kind: str, tmp_path: Path) -> None:
    start = quick_start("--primary", kind)
    assert start.files == set(re.findall(r"secrets/[a-z.-]+", start.config))
    run_step(start.step("Secrets"), tmp_path)
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    if KINDS[kind].hook_secret:
        assert re.fullmatch(r"[0-9a-f]{64}", (tmp_path / "secrets/hook.secret").read_text())
        assert "cat secrets/hook.secret" in start.step("The webhook")


@pytest.mark.parametrize("kind", KINDS)
def test_a_shell_can_read_the_steps_and_no_gap_is_left(kind: str) -> None:
    start = quick_start("--primary", kind, "--replica", "eu=https://eu.azurecr.io", "--replica", "us=https://us.test")
    done = subprocess.run(["sh", "-n"], input=start.script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "%{" not in start.script + start.config
    # Gaps of the headings and of the texts are filled from the same names.
    assert "# 3. The account of eu (eu.azurecr.io)" in start.script


def test_azure_gives_an_identity_the_role_to_read_and_the_one_to_push() -> None:
    start = quick_start(
        "--primary", "acr", "--primary-url", "https://main.azurecr.io", "--replica", "eu=https://eumain.azurecr.io"
    )
    pull, push = start.step("read with"), start.step("account of eu")
    assert "az acr token create --name replicator-pull --registry main " in pull
    assert "--scope-map _repositories_pull_metadata_read" in pull
    assert "az acr token create --name replicator-push --registry eumain " in push
    assert "--scope-map _repositories_push " in push
    assert "az role assignment create --role AcrPull " in pull
    assert "AcrPush" not in pull
    assert "az role assignment create --role AcrPush " in push
    hook = start.step("The webhook")
    assert "az acr webhook create --name replicator --registry main " in hook
    assert "--actions push delete" in hook
    assert '--headers "Authorization=Bearer $(cat secrets/hook.secret)"' in hook


def test_event_grid_is_given_the_secret_in_the_url() -> None:
    hook = quick_start("--primary", "eventgrid", "--primary-url", "https://main.azurecr.io", "--hook-url", HOOK)
    assert f'--endpoint "{HOOK}?token=$(cat secrets/hook.secret)"' in hook.step("The webhook")
    assert "az acr show --name main " in hook.step("The webhook")
    assert "--delivery-attribute-mapping X-Replicator-Token static VALUE true" in hook.step("The webhook")


def test_both_ways_from_amazon_can_be_set_up_side_by_side() -> None:
    """A rule of the same name would be the other's, with its targets."""
    rules = {
        kind: set(re.findall(r"put-(?:rule|targets) .*?--(?:name|rule) (\S+)", quick_start("--primary", kind).script))
        for kind in ("ecr", "sns")
    }
    assert [len(one) for one in rules.values()] == [1, 1]
    assert rules["ecr"] != rules["sns"]


@pytest.mark.parametrize("kind", ["ecr", "sns"])
def test_amazon_gets_a_policy_for_that_registry_alone(kind: str) -> None:
    hosts = [
        f"https://{account}.dkr.ecr.{region}.amazonaws.com"
        for account, region in (("1" * 12, "eu-west-1"), ("2" * 12, "us-east-1"))
    ]
    start = quick_start("--primary", kind, "--primary-url", hosts[0], "--replica", f"us={hosts[1]}")
    policies = [
        json.loads(start.step(of).partition("--policy-document '")[2].partition("'\n")[0])["Statement"]
        for of in ("read with", "account of us")
    ]
    assert [one["Resource"] for one in policies[0]] == ["*", f"arn:aws:ecr:eu-west-1:{'1' * 12}:repository/*"]
    assert [one["Resource"] for one in policies[1]] == ["*", f"arn:aws:ecr:us-east-1:{'2' * 12}:repository/*"]
    assert "ecr:PutImage" not in policies[0][1]["Action"]
    assert "ecr:PutImage" in policies[1][1]["Action"]


def test_sns_is_believed_for_the_topic_that_the_steps_make_in_the_registrys_region(tmp_path: Path) -> None:
    host = f"{'1' * 12}.dkr.ecr.eu-west-1.amazonaws.com"
    start = quick_start("--primary", "sns", "--primary-url", f"https://{host}", "--hook-url", HOOK)
    auth = _loaded(start, tmp_path).webhooks.endpoints[0].auth
    assert auth is not None
    assert auth.sns is not None
    assert auth.sns.topics == (f"arn:aws:sns:eu-west-1:{'1' * 12}:replicator",)
    assert "aws sns create-topic --region eu-west-1 --name replicator " in start.step("The webhook")


def test_google_signs_so_that_no_secret_of_ours_is_needed(tmp_path: Path) -> None:
    settings = _loaded(quick_start("--primary", "gar", "--hook-url", HOOK), tmp_path)
    auth = settings.webhooks.endpoints[0].auth
    assert auth is not None
    assert auth.jwt is not None
    assert auth.jwt.audience == (HOOK,)
    assert not (tmp_path / "secrets/hook.secret").exists()


def test_a_distribution_is_told_to_keep_pulls_to_itself(tmp_path: Path) -> None:
    start = quick_start("--primary", "distribution", "--hook-url", HOOK)
    run_step(start.step("Secrets"), tmp_path)
    (endpoint,) = yaml.safe_load(run_step(start.step("The webhook"), tmp_path))["notifications"]["endpoints"]
    assert endpoint["url"] == HOOK
    assert endpoint["ignore"] == {"actions": ["pull", "mount"]}
    secret = (tmp_path / "secrets/hook.secret").read_text()
    assert endpoint["headers"] == {"Authorization": [f"Bearer {secret}"]}
    assert secret not in start.config + start.script


def test_zot_is_given_json(tmp_path: Path) -> None:
    start = quick_start("--primary", "zot", "--hook-url", HOOK)
    run_step(start.step("Secrets"), tmp_path)
    sections = yaml.safe_load(run_step(start.step("The webhook"), tmp_path))
    (sink,) = sections["extensions"]["events"]["sinks"]
    assert (sink["type"], sink["address"]) == ("http", HOOK)
    assert sink["credentials"] == {"token": (tmp_path / "secrets/hook.secret").read_text()}


@pytest.mark.parametrize(
    ("host", "primary", "kind"),
    [
        ("eu.azurecr.io", "harbor", "acr"),
        ("1.dkr.ecr.eu-central-1.amazonaws.com", "acr", "ecr"),
        ("ghcr.io", "harbor", "ghcr"),
        ("eu.harbor.example.com", "harbor", "harbor"),
        ("eu.gitlab.example.com", "gitlab", "gitlab"),
        ("notghcr.io", "ghcr", None),
        ("eu.harbor.example.com", "acr", None),
    ],
)
def test_whose_a_replica_is_shows_by_its_host_or_by_the_primary(host: str, primary: str, kind: str | None) -> None:
    found = of_replica(host, KINDS[primary])
    assert (found.name if found is not None else None) == kind


def test_a_listener_by_plain_http_has_the_port_of_the_url(tmp_path: Path) -> None:
    settings = _loaded(quick_start("--primary", "zot", "--hook-url", "http://10.0.0.7:8181"), tmp_path)
    assert settings.webhooks.listen.port == 8181
    assert [one.path for one in settings.webhooks.endpoints] == ["/webhooks/primary"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--primary"),
        (("--primary", "none"), "distribution"),
        (("--primary", "acr", "--primary-url", "https://user:canary@host"), "https://HOST"),
        (("--primary", "acr", "--replica", "https://eu.example.com"), "NAME=URL"),
        (("--primary", "acr", "--replica", "EU=https://eu.example.com"), "NAME=URL"),
        (("--primary", "acr", "--replica", "eu=https://a:canary@b"), "NAME=URL"),
        (("--primary", "acr", "--replica", "primary=https://a"), "taken"),
        (("--primary", "acr", "--replica", "a=https://a", "--replica", "a=https://b"), "taken"),
        (("--primary", "acr", "--hook-url", "hooks"), "https://HOST/PATH"),
        (("--primary", "acr", "--hook-url", "https://h/a?token=canary"), "secret"),
        (("--primary", "acr", "--hook-url", "https://h/$(canary)"), "https://HOST/PATH"),
    ],
)
def test_wrong_use_is_told_and_nothing_is_printed(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(main, ["init", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "canary" not in result.stderr
