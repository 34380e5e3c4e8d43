"""Azure Container Registry, which tells of pushes by itself or by Event Grid."""

from dataclasses import replace
from typing import Final

from replicator.cli.quick_starts.kind import CloudLogin, Kind, installed

_IDENTITY = """
# A managed identity, which has no password; one will do for all registries, with a role of its own at each.
%{extra}
GROUP=my-group
REGISTRY=$(az acr show --name %{short} --query id --output tsv)
az identity create --resource-group "$GROUP" --name replicator --output none
ID=$(az identity show --resource-group "$GROUP" --name replicator --query principalId --output tsv)
az role assignment create --role %{role} --scope "$REGISTRY" --assignee-principal-type ServicePrincipal \\
  --assignee-object-id "$ID"
az vm identity assign --resource-group "$GROUP" --name my-machine --identities replicator
# In AKS (workload_identity): az identity federated-credential create, for the service account of the pod.
# Outside of Azure (service_principal), which prints appId, password and tenant; the password goes into %{file}:
#   az ad sp create-for-rbac --name replicator-%{name} --role %{role} --scopes "$REGISTRY"
# Where roles go by repository (ABAC), %{role} counts for nothing: Container Registry Repository %{abac} does.
""".replace("%{extra}", installed("azure"))
_CATALOG = "# ACR lists its repositories to no such identity; nothing here needs that.\n"

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
    cloud=CloudLogin(
        yaml="""
azure: {identity: managed_identity}  # of the machine; client_id: ID where it has several
# azure: {identity: workload_identity}           # or in AKS: of the pod
# azure: {identity: service_principal, tenant_id: TENANT, client_id: APPLICATION, client_secret_file: %{file}}
""",
        pull=_IDENTITY.replace("%{role}", "AcrPull").replace("%{abac}", "Reader") + _CATALOG,
        push=_IDENTITY.replace("%{role}", "AcrPush").replace("%{abac}", "Writer"),
    ),
    pull_user="replicator-pull",
    pull="""
# A token that reads every repository and nothing else. For some repositories only: az acr scope-map create, with
# --repository team/app content/read metadata/read, and the name of that map here.
az acr token create --name replicator-pull --registry %{short} \\
  --scope-map _repositories_pull_metadata_read --output none
az acr token credential generate --name replicator-pull --registry %{short} --password1 \\
  --query 'passwords[0].value' --output tsv > %{file}
""",
    push_user="replicator-push",
    push="""
az acr token create --name replicator-push --registry %{short} --scope-map _repositories_push --output none
az acr token credential generate --name replicator-push --registry %{short} --password1 \\
  --query 'passwords[0].value' --output tsv > %{file}
""",
)
EVENTGRID: Final = replace(
    ACR,
    name="eventgrid",
    title="Azure Container Registry, by Event Grid",
    auth="query: {name: token, value_file: %{secret}}",
    hook="""
# The daemon must run: Event Grid asks it first whether it may send. It sends to HTTPS with a certificate of a
# public authority only, and repeats for a day what fails. The secret can also be a delivery header instead of a part
# of the URL: --delivery-attribute-mapping X-Replicator-Token static VALUE true, and auth: {header: ...} above.
az eventgrid event-subscription create --name replicator \\
  --source-resource-id "$(az acr show --name %{short} --query id --output tsv)" \\
  --included-event-types Microsoft.ContainerRegistry.ImagePushed Microsoft.ContainerRegistry.ImageDeleted \\
  --event-delivery-schema cloudeventschemav1_0 \\
  --endpoint-type webhook --endpoint "%{hook}?token=$(cat %{secret})"
""",
)
