"""Where the credentials of a registry come from: the settings, a file of Docker's, a cloud."""
