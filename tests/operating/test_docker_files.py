"""The files under docker/: well-formed, at one with each other, and with no registry's name in them."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def test_the_dashboard_has_panels_that_do_not_overlap() -> None:
    panels = json.loads((DOCKER / "grafana/dashboards/fleet.json").read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])


def test_every_alert_says_what_is_the_matter_and_how_bad_it_is() -> None:
    groups = yaml.safe_load((DOCKER / "prometheus/alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"].endswith(".") or "{{" in rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_composition_mounts_only_what_is_there() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    mounts = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", ())]
    assert all((DOCKER / mount).exists() for mount in mounts if mount.startswith("."))
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", ()))


def test_nothing_starts_without_a_secret_and_none_stands_in_the_repository() -> None:
    composition = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert composition["services"]["server"]["environment"]["CASARE_JWT_SECRET"].startswith("${CASARE_JWT_SECRET:?")
    [scrape] = yaml.safe_load((DOCKER / "prometheus/prometheus.yaml").read_text())["scrape_configs"]
    [name] = composition["services"]["prometheus"]["secrets"]
    assert scrape["authorization"]["credentials_file"] == f"/run/secrets/{name}"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"docker/.env", f"docker/{composition['secrets'][name]['file'].removeprefix('./')}"} <= set(ignored)


def test_the_image_is_made_of_what_the_repository_holds_and_runs_as_nobody_special() -> None:
    lines = (DOCKER / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", lines, re.MULTILINE)
    assert all((ROOT / path).exists() for path in copied)
    assert re.search(r"^USER (?!root|0)", lines, re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in DOCKER.rglob("*") if path.is_file()], ids=lambda path: path.name)
def test_no_registry_is_named(path: Path) -> None:
    assert not re.search(r"\b(docker|ghcr|quay|gcr|pypi|npmjs)\.(io|org|com)\b", path.read_text())


def test_the_image_has_the_versions_that_are_tested() -> None:
    def pinned(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[\w.]+", path.read_text(), re.MULTILINE))

    assert pinned(DOCKER / "requirements.lock") <= pinned(ROOT / "requirements-dev.lock")
    assert pinned(ROOT / "requirements.lock") <= pinned(DOCKER / "requirements.lock")
