"""Pictures of what the dashboards' panels show of a real site (`make pictures`); they lie in docs/pictures."""
