"""The container files agree with each other, with the daemon's settings, and with the rules for restricted pods.

Nothing is built or started here: tests/integration/test_container_image.py does that, and docs/containers.md says
what is left open.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator import __version__
from replicator.settings.load import load
from replicator.settings.schema import Settings
from tests.meta.tree import ROOT

FOLDER = ROOT / "config" / "container"
KUBERNETES = FOLDER / "kubernetes"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
USER = 65532
CLOSING = 12
"""Seconds after shutdown.grace in which the listeners close (docs/running.md)."""


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [
        (path.name, document)
        for path in sorted(KUBERNETES.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def pods() -> dict[str, dict[str, Any]]:
    return {
        name: document["spec"]["template"]["spec"]
        for name, document in documents()
        if document["kind"] in {"Deployment", "StatefulSet"}
    }


def configurations() -> dict[str, str]:
    found = {"compose": (FOLDER / "replicator.yaml").read_text()}
    for name, document in documents():
        if document["kind"] == "ConfigMap":
            found[name] = document["data"]["replicator.yaml"]
    return found


def settings_of(name: str, folder: Path) -> Settings:
    path = folder / "replicator.yaml"
    # The secrets lie elsewhere here.
    text = re.sub(r"/run/secrets/(?:replicator/)?", f"{folder}/", configurations()[name])
    for secret in ("hook", "primary", "eu-west"):
        (folder / secret).write_text("x")
    path.write_text(text)
    return load(path, environ={})


def daemon_of(pod: dict[str, Any]) -> dict[str, Any]:
    both = [*pod.get("initContainers", []), *pod["containers"]]
    (found,) = (one for one in both if one["name"] == "replicator")
    return dict(found)


def test_the_image_runs_the_daemon_as_nobody_in_particular() -> None:
    text = (FOLDER / "Containerfile").read_text()
    _, last = text.rsplit("\nFROM ", 1)
    assert f"USER {USER}:{USER}" in last
    assert 'ENTRYPOINT ["/opt/replicator/bin/replicator"]\nCMD ["run"]' in last
    assert "STOPSIGNAL SIGTERM" in last
    assert f"ARG VERSION={__version__}\n" in last
    for key, argument in (("source", "SOURCE"), ("revision", "REVISION"), ("version", "VERSION")):
        assert f'org.opencontainers.image.{key}="${{{argument}}}"' in last
    assert not re.search(r"^RUN (?!\[)|^RUN", last, re.MULTILINE), "no shell and no step is needed in the last stage"
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    ignored = (FOLDER / "Containerfile.containerignore").read_text().split()
    for name in (word for line in copied for word in line.split()):
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


@pytest.mark.parametrize("name", sorted(configurations()))
def test_each_configuration_is_valid_and_keeps_its_store_on_the_volume(name: str, tmp_path: Path) -> None:
    settings = settings_of(name, tmp_path)
    assert settings.store.sqlite_path == Path("/state/replicator.db")
    assert (settings.admin.listen.host, settings.admin.listen.port) == ("0.0.0.0", 9464)
    assert settings.webhooks.listen.port == 8080


def test_compose_mounts_what_there_is_and_gives_the_daemon_nothing_more() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (FOLDER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "nothing is open to the network"
    daemon = services["replicator"]
    assert (FOLDER / COMPOSE["secrets"]["hook"]["file"]).exists()
    assert (FOLDER / daemon["build"]["context"] / daemon["build"]["dockerfile"]).exists()


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_each_service_of_compose_is_locked_up(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == "state" else [])
    assert "privileged" not in service
    written = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert [volume.split(":")[0] for volume in written] == [name if name != "replicator" else "state"]


def test_in_compose_the_primary_tells_the_daemon_and_prometheus_asks_both(tmp_path: Path) -> None:
    settings = settings_of("compose", tmp_path)
    services = COMPOSE["services"]
    assert {"primary", *(one.name for one in settings.replicas)} <= services.keys()
    primary = yaml.safe_load((FOLDER / "primary.yml").read_text())
    (endpoint,) = primary["notifications"]["endpoints"]
    assert endpoint["url"] == f"http://replicator:8080{settings.webhooks.endpoints[0].path}"
    assert endpoint["headers"] == {"Authorization": [f"Bearer {(FOLDER / 'hook.txt').read_text().strip()}"]}
    scraped = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped["scrape_configs"]}
    assert targets == {"replicator": ["replicator:9464"], "registry": [f"primary{primary['http']['debug']['addr']}"]}
    for rules in scraped["rule_files"]:
        assert (ROOT / "config" / "prometheus" / Path(rules).name).exists()
    shown = yaml.safe_load((ROOT / "grafana" / "provisioning" / "dashboards" / "replicator.yaml").read_text())
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert shown["providers"][0]["options"]["path"] in mounted


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_keep_to_the_restricted_standard(name: str) -> None:
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == USER
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    for container in (*pod.get("initContainers", []), *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    for volume in pod["volumes"]:
        assert volume.keys() - {"name"} <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir"}


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_wait_for_the_daemon_ask_how_it_is_and_let_it_end(name: str, tmp_path: Path) -> None:
    pod = pods()[name]
    daemon, settings = daemon_of(pod), settings_of(name, tmp_path)
    assert pod["terminationGracePeriodSeconds"] >= settings.shutdown.grace + CLOSING
    ports = {one["name"]: one["containerPort"] for one in daemon["ports"]}
    assert ports["admin"] == settings.admin.listen.port
    probes = {key: daemon[key]["httpGet"] for key in daemon if key.endswith("Probe")}
    assert {one["port"] for one in probes.values()} == {"admin"}
    assert probes["livenessProbe"]["path"] == "/healthz", "what a replica does never ends the daemon"
    assert {one["path"] for one in probes.values()} == {"/healthz", "/readyz"}
    mounts = {one["mountPath"]: one["name"] for one in daemon["volumeMounts"]}
    claims = [volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert mounts["/state"] in [*claims, "state"]
    assert {"/etc/replicator", "/run/secrets/replicator", "/tmp"} <= mounts.keys()


def test_the_sidecar_is_there_before_the_registry_and_hears_it(tmp_path: Path) -> None:
    (daemon,) = pods()["sidecar.yaml"]["initContainers"]
    assert daemon["restartPolicy"] == "Always"
    assert daemon["startupProbe"]["httpGet"]["path"] == "/readyz"
    (config,) = (one for name, one in documents() if name == "sidecar.yaml" and one["kind"] == "Secret")
    (endpoint,) = yaml.safe_load(config["stringData"]["config.yml"])["notifications"]["endpoints"]
    settings = settings_of("sidecar.yaml", tmp_path)
    (registry,) = pods()["sidecar.yaml"]["containers"]
    assert registry["lifecycle"]["preStop"], "what waits in the registry's memory goes out before it ends"
    assert endpoint["url"] == f"http://{settings.webhooks.listen}{settings.webhooks.endpoints[0].path}"


def test_no_login_stands_in_a_config_map() -> None:
    maps = [yaml.safe_dump(document["data"]) for _, document in documents() if document["kind"] == "ConfigMap"]
    assert [text for text in maps if "Bearer" in text or "Authorization" in text] == []


@pytest.mark.parametrize("name", sorted(pods()))
def test_the_secret_holds_a_placeholder_for_each_file_that_is_named(name: str) -> None:
    (secret,) = (one for file, one in documents() if file == "secret.yaml")
    assert all(value.startswith("set-me") for value in secret["stringData"].values()), "nothing that is real"
    (mounted,) = (one["secret"] for one in pods()[name]["volumes"] if one["name"] == "secrets")
    assert mounted["secretName"] == secret["metadata"]["name"]
    named = set(re.findall(r"/run/secrets/replicator/([a-z-]+)", configurations()[name]))
    assert named <= secret["stringData"].keys()
    if name == "deployment.yaml":
        assert named == secret["stringData"].keys()


def test_webhooks_may_come_over_both_families() -> None:
    (policy,) = (one for file, one in documents() if file == "network-policy.yaml")
    webhooks = policy["spec"]["ingress"][0]
    assert webhooks["ports"] == [{"protocol": "TCP", "port": "webhooks"}]
    assert {one["ipBlock"]["cidr"] for one in webhooks["from"]} == {"0.0.0.0/0", "::/0"}
    assert not any("to" in rule for rule in policy["spec"]["egress"]), "what is open is open to both"


def test_one_daemon_at_a_time_uses_the_store() -> None:
    found = {
        document["kind"]: document["spec"] for _, document in documents() if "replicas" in document.get("spec", {})
    }
    assert {spec["replicas"] for spec in found.values()} == {1}
    assert found["Deployment"]["strategy"] == {"type": "Recreate"}


def test_what_selects_the_daemon_finds_it() -> None:
    label = {"app.kubernetes.io/name": "replicator"}
    by_kind = {document["kind"]: document for name, document in documents() if name != "sidecar.yaml"}
    assert by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"] == label
    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"] == label
    assert by_kind["Service"]["spec"]["selector"] == by_kind["Service"]["metadata"]["labels"] == label
    assert by_kind["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == label
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == label
    named = {port["name"] for port in daemon_of(pods()["deployment.yaml"])["ports"]}
    assert {port["targetPort"] for port in by_kind["Service"]["spec"]["ports"]} == named
    assert {one["port"] for one in by_kind["ServiceMonitor"]["spec"]["endpoints"]} <= named


@pytest.mark.parametrize(("extras", "installed"), [(None, "."), ("", "."), ("azure,aws,gcp", ".[azure,aws,gcp]")])
def test_the_build_installs_the_extras_that_are_asked_for(extras: str | None, installed: str, tmp_path: Path) -> None:
    """The build's own step is run, with a pip that tells what it is asked for."""
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    (step,) = [json.loads(line.removeprefix("RUN ")) for line in lines if line.startswith("RUN ") and "pip'," in line]
    assert lines.index("ARG EXTRAS=") < next(n for n, line in enumerate(lines) if "pip'," in line)
    (tmp_path / "pip.py").write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    environ = {"PYTHONPATH": str(tmp_path), **({} if extras is None else {"EXTRAS": extras})}
    assert step[0] == "python"
    done = subprocess.run([sys.executable, *step[1:]], env=environ, capture_output=True, text=True, check=True)
    asked = json.loads(done.stdout)
    assert asked[:2] == ["--python", "/opt/replicator/bin/python"]
    assert asked[-4:] == ["install", "--constraint", "constraints.txt", installed]
