"""The way in for webhooks: receive, authenticate, decode, route, record, and only then answer."""
