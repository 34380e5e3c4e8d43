"""Registries that come with a place for source code, or that are a public hub."""

from typing import Final

from replicator.cli.quick_starts.kind import Kind

_PASTE = "cat > %{file}  # paste it, Enter, Ctrl-D"

GHCR: Final = Kind(
    name="ghcr",
    title="GitHub Container Registry",
    url="https://ghcr.io",
    domains=("ghcr.io",),
    hosts=True,
    auth="hmac_sha256: {secret_file: %{secret}}",
    hook="""
# A webhook of the organisation, for packages alone; gh must be logged in as one of its owners.
ORG=my-organisation
gh api "orgs/$ORG/hooks" -f name=web -F active=true -f 'events[]=package' -f 'config[url]=%{hook}' \\
  -f 'config[content_type]=json' -f "config[secret]=$(cat %{secret})"
# GitHub never repeats what failed: Settings, Webhooks, Recent Deliveries, Redeliver.
""",
    pull_user="my-account",
    pull=f"""
# A personal access token (classic) with the one scope read:packages, of an account that may read the packages.
# username: is that account.
{_PASTE}
""",
    push_user="my-account",
    push=f"""
# A personal access token (classic) with the scope write:packages, of an account that may write the packages.
{_PASTE}
""",
)
GITLAB: Final = Kind(
    name="gitlab",
    title="GitLab",
    url="https://registry.gitlab.example.com",
    domains=("registry.gitlab.com",),
    auth="bearer_token_file: %{secret}",
    hook="""
# For a GitLab of your own; gitlab.com sends webhooks of images to nobody. Into /etc/gitlab/gitlab.rb, and then
# gitlab-ctl reconfigure:
cat <<END
registry['notifications'] = [
  {
    'name' => 'replicator',
    'url' => '%{hook}',
    'timeout' => '5s',
    'maxretries' => 10,
    'backoff' => '10s',
    'headers' => {'Authorization' => ['Bearer $(cat %{secret})']}
  }
]
END
""",
    pull_user="gitlab+deploy-token-1",
    pull=f"""
# Settings, Repository, Deploy tokens, of the group: the one scope read_registry. username: is what GitLab shows.
# Its tokens come from GitLab itself, which has another host: put that one into realm_allow of the primary.
{_PASTE}
""",
    push_user="gitlab+deploy-token-1",
    push=f"""
# Settings, Repository, Deploy tokens, of the group: the scopes read_registry and write_registry. The projects must
# exist. Its tokens come from GitLab itself, which has another host: put that one into realm_allow of the replica.
{_PASTE}
""",
)
QUAY: Final = Kind(
    name="quay",
    title="Quay",
    url="https://quay.io",
    domains=("quay.io",),
    hosts=True,
    auth="query: {name: token, value_file: %{secret}}",
    hook="""
# For each repository: Settings, Events and Notifications, Create Notification: Push to Repository, Webhook POST.
# Leave the POST template empty. The URL, whose token is the secret (Quay can show one nowhere else):
echo "%{hook}?token=$(cat %{secret})"
# After three failures in a row Quay stops sending until somebody resets the notification.
""",
    pull_user="my-organisation+replicator",
    pull=f"""
# A robot account of the organisation (Robot Accounts, Create) with Read on the repositories.
{_PASTE}
""",
    push_user="my-organisation+replicator",
    push=f"""
# A robot account of the organisation with Write on the repositories; for new ones a team with the role Creator.
{_PASTE}
""",
)
DOCKERHUB: Final = Kind(
    name="dockerhub",
    title="Docker Hub",
    url="https://registry-1.docker.io",
    domains=("registry-1.docker.io",),
    auth="query: {name: token, value_file: %{secret}}",
    hook="""
# For each repository: Webhooks. The URL, whose token is the secret (Docker Hub can show one nowhere else):
echo "%{hook}?token=$(cat %{secret})"
# Events name tags alone, and nothing tells of deletes.
""",
    pull_user="my-account",
    pull=f"""
# Account settings, Personal access tokens: access Read-only. username: is the account.
{_PASTE}
# Pulls are limited for each account: requests: in the configuration keeps below it.
""",
    push_user="my-account",
    push=f"""
# Account settings, Personal access tokens: access Read & Write. username: is the account.
{_PASTE}
""",
)
