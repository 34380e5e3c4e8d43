"""Registries of the big clouds."""

from typing import Final

from replicator.cli.quick_starts.kind import Kind

ACR: Final = Kind(
    name="acr",
    title="Azure Container Registry",
    url="https://myregistry.azurecr.io",
    domains=(".azurecr.io",),
    hosts=True,
    auth="bearer_token_file: %{secret}",
    hook="""
az acr webhook create --name replicator --registry %{short} --uri '%{hook}' \\
  --actions push delete --headers "Authorization=Bearer $(cat %{secret})"
az acr webhook ping --name replicator --registry %{short}
# With geo-replication each region has webhooks of its own: once more for each, with --location REGION.
# ACR waits 5 s and never repeats. Event Grid repeats for a day: docs/webhooks.md, eventgrid.
""",
    pull_user="replicator-pull",
    pull="""
# A token that reads every repository and nothing else. For some repositories only: az acr scope-map create, with
# --repository team/app content/read metadata/read, and the name of that map here.
az acr token create --name replicator-pull --registry %{short} \\
  --scope-map _repositories_pull_metadata_read --output none
az acr token credential generate --name replicator-pull --registry %{short} --password1 \\
  --query 'passwords[0].value' --output tsv > %{file}
# Instead, a service principal with the role AcrPull: its application id is the user name, its secret the password.
# An identity of Entra that needs no password: `azure: {identity: managed_identity}` (docs/logins.md).
# ACR lists its repositories to no token; nothing here needs that.
""",
    push_user="replicator-push",
    push="""
az acr token create --name replicator-push --registry %{short} --scope-map _repositories_push --output none
az acr token credential generate --name replicator-push --registry %{short} --password1 \\
  --query 'passwords[0].value' --output tsv > %{file}
# Instead, a service principal with the role AcrPush (it may pull too); APP_ID goes into username:
#   az role assignment create --assignee APP_ID --role AcrPush \\
#     --scope "$(az acr show --name %{short} --query id --output tsv)"
""",
)
_ECR_LOGIN = """
# Best, with pip install "replicator[aws]": write `credentials: {aws: {}}` in place of user and password, and the
# daemon gets passwords itself, by the role of its machine or pod (docs/logins.md). Without it they live 12 hours:
# renew the file from a timer, each 6 hours, as whoever has these rights. The daemon reads it again by itself.
aws ecr get-login-password > %{file}.new && mv %{file}.new %{file}
"""
ECR: Final = Kind(
    name="ecr",
    title="Amazon ECR",
    url="https://123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    domains=(".amazonaws.com", ".amazonaws.com.cn"),
    hosts=True,
    auth="header: {name: X-Replicator-Token, value_file: %{secret}}",
    hook="""
# EventBridge sends to HTTPS with a certificate of a public authority only.
CONNECTION=$(aws events create-connection --name replicator --authorization-type API_KEY \\
  --auth-parameters "ApiKeyAuthParameters={ApiKeyName=X-Replicator-Token,ApiKeyValue=$(cat %{secret})}" \\
  --query ConnectionArn --output text)
DESTINATION=$(aws events create-api-destination --name replicator --connection-arn "$CONNECTION" \\
  --invocation-endpoint '%{hook}' --http-method POST --query ApiDestinationArn --output text)
aws events put-rule --name replicator \\
  --event-pattern '{"source": ["aws.ecr"], "detail-type": ["ECR Image Action"]}'
# A role that EventBridge may assume (events.amazonaws.com), with events:InvokeApiDestination on $DESTINATION:
ROLE=arn:aws:iam::123456789012:role/replicator-events
aws events put-targets --rule replicator --targets "Id=replicator,Arn=$DESTINATION,RoleArn=$ROLE"
""",
    pull_user="AWS",
    pull=f"""
# Rights: ecr:GetAuthorizationToken on *; on the repositories ecr:BatchGetImage, ecr:GetDownloadUrlForLayer,
# ecr:BatchCheckLayerAvailability and, for lists, ecr:ListImages and ecr:DescribeRepositories.
{_ECR_LOGIN}""",
    push_user="AWS",
    push=f"""
# Rights: those to pull, and ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage.
# Repositories must exist, or be made on the first push by a repository creation template, or by the daemon
# (`create_repositories` in `aws:`).
{_ECR_LOGIN}""",
)
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
