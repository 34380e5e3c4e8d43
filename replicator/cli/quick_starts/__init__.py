"""What `init` knows of each registry: how it sends webhooks, and which account is just enough."""
