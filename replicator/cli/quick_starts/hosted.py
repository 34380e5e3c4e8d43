"""Registries that people run themselves."""

from typing import Final

from replicator.cli.quick_starts.kind import Kind

_PASTE = "cat > %{file}  # paste it, Enter, Ctrl-D"
_RANDOM = "od -An -tx1 -N24 /dev/urandom | tr -d ' \\n' > %{file}"
_HTPASSWD = f"""
# An account of the registry's htpasswd file. If people may pull anonymously, remove credentials: instead.
{_RANDOM}
htpasswd -niB replicator < %{{file}} >> htpasswd  # the file that %{{what}} names
"""
_HARBOR_ROBOT = """
ADMIN=admin  # curl asks for the password
curl --fail --user "$ADMIN" --header 'Content-Type: application/json' --data '{
  "name": "replicator", "level": "system", "duration": -1, "permissions": [
    {"kind": "project", "namespace": "*", "access": [%{access}]}
  ]}' '%{url}/api/v2.0/robots'
# Put the "secret" of the answer into the file ("namespace" may name one project instead of all):
cat > %{file}  # paste it, Enter, Ctrl-D
"""
_PULL_ACCESS = (
    '{"resource": "repository", "action": "pull"}, {"resource": "repository", "action": "list"},\n'
    '      {"resource": "artifact", "action": "list"}'
)
_PUSH_ACCESS = '{"resource": "repository", "action": "pull"}, {"resource": "repository", "action": "push"}'

DISTRIBUTION: Final = Kind(
    name="distribution",
    title="CNCF Distribution (Docker Registry)",
    url="https://registry.example.com",
    auth="bearer_token_file: %{secret}",
    hook="""
# Into the registry's config.yml, and then restart it. It logs these headers at level info: log: {level: warn}
# keeps the secret out of its log.
cat <<END
notifications:
  endpoints:
    - name: replicator
      url: %{hook}
      headers: {Authorization: [Bearer $(cat %{secret})]}
      timeout: 2s
      threshold: 5
      backoff: 1s
      ignore: {actions: [pull, mount]}
END
""",
    pull_user="replicator",
    pull=_HTPASSWD.replace("%{what}", "auth.htpasswd.path in config.yml")
    + "# Whoever is in it may push too; accounts that may only pull need a token server (auth.token).\n",
    push_user="replicator",
    push=_HTPASSWD.replace("%{what}", "auth.htpasswd.path in config.yml"),
)
HARBOR: Final = Kind(
    name="harbor",
    title="Harbor",
    url="https://harbor.example.com",
    hosts=True,
    auth="bearer_token_file: %{secret}",
    hook="""
# One policy for each project (or: the project, Webhooks, New Webhook; HTTP, Default, Artifact pushed and deleted).
ADMIN=admin PROJECT=my-project  # curl asks for the password
curl --fail --user "$ADMIN" --header 'Content-Type: application/json' --data @- \\
  "%{url}/api/v2.0/projects/$PROJECT/webhook/policies" <<END
{
  "name": "replicator", "enabled": true, "event_types": ["PUSH_ARTIFACT", "DELETE_ARTIFACT"],
  "targets": [{
    "type": "http", "address": "%{hook}", "payload_format": "Default", "skip_cert_verify": false,
    "auth_header": "Bearer $(cat %{secret})"
  }]
}
END
""",
    pull_user="robot$replicator",
    pull="# A robot account that may pull (or: Administration, Robot Accounts, New: Pull and List Repository, List\n"
    "# Artifact).\n" + _HARBOR_ROBOT.replace("%{access}", _PULL_ACCESS),
    push_user="robot$replicator",
    push="# A robot account that may pull and push. The projects must exist.\n"
    + _HARBOR_ROBOT.replace("%{access}", _PUSH_ACCESS),
)
GITEA: Final = Kind(
    name="gitea",
    title="Gitea or Forgejo",
    url="https://gitea.example.com",
    hosts=True,
    auth="hmac_sha256: {header: X-Gitea-Signature, secret_file: %{secret}}",
    hook="""
# Settings of the organisation or user that owns the packages: Webhooks, Add: Gitea. Target URL, POST,
# application/json; trigger on: Custom events, Package. Target URL and secret:
echo '%{hook}'
cat %{secret}
# A target on a private network must be in ALLOWED_HOST_LIST (section webhook of app.ini).
""",
    pull_user="replicator",
    pull=f"""
# An access token of an account that may read the packages (Settings, Applications): package: Read, nothing else.
{_PASTE}
""",
    push_user="replicator",
    push=f"""
# An access token of an account that may write the packages (Settings, Applications): package: Read and Write.
{_PASTE}
""",
)
ZOT: Final = Kind(
    name="zot",
    title="zot",
    url="https://zot.example.com",
    auth="bearer_token_file: %{secret}",
    hook="""
# Into zot's config.json (zot 2.1.3 or newer), and then restart it:
cat <<END
{"extensions": {"events": {"enable": true, "sinks": [
  {"type": "http", "address": "%{hook}", "timeout": "5s",
   "credentials": {"token": "$(cat %{secret})"}}]}}}
END
""",
    pull_user="replicator",
    pull=_HTPASSWD.replace("%{what}", "http.auth.htpasswd.path in config.json")
    + "# In http.accessControl give the user the one action read on the repositories.\n",
    push_user="replicator",
    push=_HTPASSWD.replace("%{what}", "http.auth.htpasswd.path in config.json")
    + "# In http.accessControl give the user the actions read, create and update on the repositories.\n",
)
JFROG: Final = Kind(
    name="jfrog",
    title="JFrog Artifactory",
    url="https://example.jfrog.io",
    auth="header: {name: X-JFrog-Event-Auth, value_file: %{secret}}",
    hook="""
# Administration, Webhooks, New: domain Docker, events pushed, deleted and promoted. URL and secret token ("use
# secret for payload signing" off):
echo '%{hook}'
cat %{secret}
# Images are read as REPO_KEY/IMAGE, their name where repositories are reached by path; else: docs/webhooks.md.
""",
    pull_user="replicator",
    pull=f"""
# A user with the one permission Read on the Docker repositories, and an identity token of that user.
{_PASTE}
""",
    push_user="replicator",
    push=f"""
# A user with the permissions Read and Deploy/Cache on the Docker repositories (and Delete/Overwrite, without which
# Artifactory lets no tag move), and an identity token of that user.
{_PASTE}
""",
)
NEXUS: Final = Kind(
    name="nexus",
    title="Sonatype Nexus Repository",
    url="https://nexus.example.com",
    auth="hmac_sha1: {secret_file: %{secret}}",
    hook="""
# Administration, System, Capabilities, Create: Webhook: Repository, once for each Docker repository; event type
# component. URL and secret key:
echo '%{hook}'
cat %{secret}
""",
    pull_user="replicator",
    pull=f"""
# A user whose role has nx-repository-view-docker-REPOSITORY-browse and -read. Its password:
{_PASTE}
""",
    push_user="replicator",
    push=f"""
# A user whose role has nx-repository-view-docker-REPOSITORY-browse, -read, -add and -edit; the repository must allow
# redeploy, or no tag moves. Its password:
{_PASTE}
""",
)
