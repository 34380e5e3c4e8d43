"""Amazon ECR, whose pushes EventBridge tells of by itself or through SNS."""

from dataclasses import replace
from typing import Final

from replicator.cli.quick_starts.kind import CloudLogin, Kind, installed

_RENEWED = """
# As whoever has the rights above; it lives 12 hours: renew the file from a timer, each 6 hours. The daemon reads it
# again by itself.
aws ecr get-login-password --region %{region} > %{file}.new && mv %{file}.new %{file}
"""
_POLICY = """
# The role that the daemon has where it runs, of its pod, task or machine, and what it may do at this registry.
%{extra}
ROLE=my-role
aws iam put-role-policy --role-name "$ROLE" --policy-name replicator-%{name} --policy-document '{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    {"Effect": "Allow", "Resource": "arn:aws:ecr:%{region}:%{account}:repository/*", "Action": [
      %{actions}
    ]}
  ]}'
""".replace("%{extra}", installed("aws"))
_PULL = """"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability",
      "ecr:ListImages", "ecr:DescribeRepositories\""""
_PUSH = """"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages",
      "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage\""""
_MISSING = """
# Repositories must exist, or be made on the first push by a repository creation template, or by the daemon: with
# `aws: {create_repositories: {}}` and the right ecr:CreateRepository (and ecr:TagResource for tags).
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
aws events put-rule --name replicator-webhook \\
  --event-pattern '{"source": ["aws.ecr"], "detail-type": ["ECR Image Action"]}'
# A role that EventBridge may assume (events.amazonaws.com), with events:InvokeApiDestination on $DESTINATION:
ROLE=arn:aws:iam::123456789012:role/replicator-events
aws events put-targets --rule replicator-webhook --targets "Id=replicator,Arn=$DESTINATION,RoleArn=$ROLE"
""",
    cloud=CloudLogin(
        yaml="aws: %{aws}                            # as whoever the machine or pod is",
        pull=_POLICY.replace("%{actions}", _PULL),
        push=_POLICY.replace("%{actions}", _PUSH) + _MISSING,
    ),
    pull_user="AWS",
    pull=_RENEWED,
    push_user="AWS",
    push=_RENEWED,
)
SNS: Final = replace(
    ECR,
    name="sns",
    title="Amazon ECR, by SNS",
    hook_secret=False,
    auth="""
sns:                                 # SNS signs what it sends; arn:aws-cn in China
  topics: ["arn:aws:sns:%{region}:%{account}:replicator"]
""",
    hook="""
# The daemon must run: it confirms the subscription. SNS sends to HTTPS with a certificate of a public authority only.
TOPIC=$(aws sns create-topic --region %{region} --name replicator --query TopicArn --output text)
RULE=$(aws events put-rule --region %{region} --name replicator-sns --query RuleArn --output text \\
  --event-pattern '{"source": ["aws.ecr"], "detail-type": ["ECR Image Action"]}')
aws sns set-topic-attributes --region %{region} --topic-arn "$TOPIC" --attribute-name Policy --attribute-value "{
  \\"Version\\": \\"2012-10-17\\", \\"Statement\\": [{\\"Effect\\": \\"Allow\\", \\"Action\\": \\"sns:Publish\\",
    \\"Principal\\": {\\"Service\\": \\"events.amazonaws.com\\"}, \\"Resource\\": \\"$TOPIC\\",
    \\"Condition\\": {\\"ArnEquals\\": {\\"aws:SourceArn\\": \\"$RULE\\"}}}]}"
aws sns set-topic-attributes --region %{region} --topic-arn "$TOPIC" \\
  --attribute-name SignatureVersion --attribute-value 2
aws events put-targets --region %{region} --rule replicator-sns --targets "Id=replicator,Arn=$TOPIC"
aws sns subscribe --region %{region} --topic-arn "$TOPIC" --protocol https --notification-endpoint '%{hook}'
""",
)
