"""The dashboards, as data; `make dashboards` writes them to grafana/dashboards."""
