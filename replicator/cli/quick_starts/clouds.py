"""Registries of other big clouds."""

from typing import Final

from replicator.cli.quick_starts.kind import CloudLogin, Kind, installed

_IDENTITY = """
# As whoever the daemon is where it runs: this account belongs to its machine, or to its pod by workload identity.
%{extra}
PROJECT=my-project LOCATION=europe-west3 REPOSITORY=my-repository
gcloud iam service-accounts create replicator-%{role} --project="$PROJECT"
gcloud artifacts repositories add-iam-policy-binding "$REPOSITORY" --location="$LOCATION" --project="$PROJECT" \\
  --role=roles/artifactregistry.%{role} --member="serviceAccount:replicator-%{role}@$PROJECT.iam.gserviceaccount.com"
gcloud compute instances set-service-account my-machine --project="$PROJECT" --scopes=cloud-platform \\
  --service-account="replicator-%{role}@$PROJECT.iam.gserviceaccount.com"
# It has one account for all registries: give what reads the primary the writer's role at the replicas too. In GKE:
# annotate its Kubernetes service account instead. Outside of Google Cloud: `gcp: {key_file: key.json}`.
""".replace("%{extra}", installed("gcp"))
GAR: Final = Kind(
    name="gar",
    title="Google Artifact Registry",
    url="https://europe-west3-docker.pkg.dev",
    domains=(".pkg.dev", ".gcr.io", "gcr.io"),
    hosts=True,
    hook_secret=False,
    auth="""
jwt:                                 # Pub/Sub signs who sends: put your project into the address
  issuer: https://accounts.google.com
  audience: [%{hook}]
  claims: {email: replicator-push@PROJECT.iam.gserviceaccount.com}
""",
    hook="""
# Artifact Registry publishes to the topic gcr of the project that holds it. Pub/Sub sends to HTTPS with a
# certificate of a public authority only.
PROJECT=my-project
gcloud pubsub topics create gcr --project="$PROJECT"
gcloud iam service-accounts create replicator-push --project="$PROJECT"
gcloud pubsub subscriptions create replicator --project="$PROJECT" --topic=gcr --push-endpoint='%{hook}' \\
  --push-auth-service-account="replicator-push@$PROJECT.iam.gserviceaccount.com" --push-auth-token-audience='%{hook}'
""",
    cloud=CloudLogin(
        yaml="gcp: {}                            # by what the machine or pod is",
        pull=_IDENTITY.replace("%{role}", "reader"),
        push="# The repositories of Artifact Registry must exist." + _IDENTITY.replace("%{role}", "writer"),
    ),
    pull_user="_json_key_base64",
    pull="""
PROJECT=my-project
gcloud iam service-accounts create replicator-reader --project="$PROJECT"
gcloud projects add-iam-policy-binding "$PROJECT" --role=roles/artifactregistry.reader \\
  --member="serviceAccount:replicator-reader@$PROJECT.iam.gserviceaccount.com"
gcloud iam service-accounts keys create key.json \\
  --iam-account="replicator-reader@$PROJECT.iam.gserviceaccount.com"
base64 key.json | tr -d '\\n' > %{file} && rm key.json
""",
    push_user="_json_key_base64",
    push="""
# The repositories of Artifact Registry must exist.
PROJECT=my-project
gcloud iam service-accounts create replicator-writer --project="$PROJECT"
gcloud projects add-iam-policy-binding "$PROJECT" --role=roles/artifactregistry.writer \\
  --member="serviceAccount:replicator-writer@$PROJECT.iam.gserviceaccount.com"
gcloud iam service-accounts keys create key.json \\
  --iam-account="replicator-writer@$PROJECT.iam.gserviceaccount.com"
base64 key.json | tr -d '\\n' > %{file} && rm key.json
""",
)
ALIYUN: Final = Kind(
    name="aliyun",
    title="Alibaba Cloud Container Registry",
    url="https://myinstance-registry.eu-central-1.cr.aliyuncs.com",
    domains=(".aliyuncs.com",),
    auth="query: {name: token, value_file: %{secret}}",
    hook="""
# In the console, for each repository: Triggers, Create. The URL, whose token is the secret:
echo "%{hook}?token=$(cat %{secret})"
# It sends to HTTPS on port 443 with a certificate of a public authority, and can show a secret nowhere but there.
""",
    pull_user="replicator@myaccount",
    pull="""
# A RAM user that may only read: its policies allow to list and pull of this instance. Its registry password is set
# in the console under Access Credential (not the password of the console). username: is what it is called there.
cat > %{file}  # paste the password, Enter, Ctrl-D
# Tokens come from another host: if check names one, put it into realm_allow.
""",
    push_user="replicator@myaccount",
    push="""
# A RAM user that may pull and push in this instance, with a registry password (Access Credential).
cat > %{file}  # paste the password, Enter, Ctrl-D
""",
)
