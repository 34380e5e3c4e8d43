"""What logins of all kinds have in common: a user name, and secrets in a file or a variable."""

from pydantic import Field

from replicator.settings.fields import UserName
from replicator.settings.files import SecretFile, SecretVariable
from replicator.settings.secrets import Secret
from replicator.settings.section import Section


class PasswordLogin(Section):
    """User name and password."""

    username: UserName | None = Field(None, description="User name; goes with a password.")
    password_file: SecretFile | None = Field(None, description="File that holds the password.")
    password_env: SecretVariable | None = Field(None, description="Environment variable that holds the password.")

    @property
    def password(self) -> Secret | None:
        """The password, wherever it is."""
        return self.password_file or self.password_env


class TokenLogin(PasswordLogin):
    """User name and password, or a token that is shown as it is."""

    token_file: SecretFile | None = Field(None, description="File that holds a token, which is sent as it is.")
    token_env: SecretVariable | None = Field(None, description="Environment variable that holds such a token.")

    @property
    def token(self) -> Secret | None:
        """The token that is sent as it is, wherever it is."""
        return self.token_file or self.token_env
