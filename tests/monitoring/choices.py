"""What Grafana puts in the place of its variables: the choices made on a dashboard, and the window of rates."""


def chosen(expression: str, *, replica: str, window: str, job: str = "replicator") -> str:
    """Return a panel's expression as Prometheus is asked it: any instance of `job`, `replica` as a pattern.

    `window` stands for `$__rate_interval`, e.g. `1m`.
    """
    choices = {"$job": job, "$instance": ".+", "$replica": replica, "$__rate_interval": window}
    for variable, choice in choices.items():
        expression = expression.replace(variable, choice)
    return expression
