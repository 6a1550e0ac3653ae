"""The page, its files, the terminal's table; in a real browser where there is one."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import runner.ls
from runner.report.__main__ import main

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Texts, images and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.places: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        self.places += [place for name in ("src", "href") if (place := values.get(name))]

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture
def report(six_runs, capsys) -> Path:
    assert main([str(six_runs)]) == 0
    assert "6 runs" in capsys.readouterr().out
    return six_runs / "report"


def test_one_file_holds_everything(report):
    text = (report / "report.html").read_text()
    page = Page(text)
    assert len(page.images) == 6
    assert all(place.startswith(("data:", "#")) for place in page.places)
    assert "@import" not in text
    assert "<script" not in text
    assert all(image["alt"] for image in page.images)
    for words in ("Final accuracy", "Warm start", "Conductances", "Failures", "killed <b>"):
        assert words in page.texts
    assert any("n = 2 to 4 runs a configuration, seeds 1-4." in part for part in page.texts)
    assert "killed <b>" not in text
    assert html.escape("killed <b>") in text


def test_pictures_and_tables_as_files(report):
    for name in ("curves", "final", "warm_start", "conductances", "writes", "cost"):
        assert (report / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ElementTree.parse(report / "figures" / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")
    final = pd.read_csv(report / "tables" / "final.csv")
    assert list(final["test accuracy, %"]) == pytest.approx([82, 96])
    assert len(pd.read_csv(report / "tables" / "runs.csv")) == 6


def test_a_second_report_does_not_see_the_first(report, six_runs, capsys):
    assert main([str(six_runs)]) == 0
    assert "6 runs" in capsys.readouterr().out


def test_runs_without_anything_to_draw(make_run, tmp_path, capsys):
    path = make_run([0.1, 0.5], status="failed", message="x")
    (path / "metrics.jsonl").unlink()
    (path / "config.yaml").unlink()
    assert main([str(path), "--out", str(tmp_path / "out")]) == 0
    assert "Failures" in Page((tmp_path / "out" / "report.html").read_text()).texts


@pytest.mark.parametrize("entry", [main, runner.ls.main])
def test_a_wrong_folder_is_one_line(entry, tmp_path, capsys):
    assert entry([str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_table_in_the_terminal(six_runs, capsys):
    assert runner.ls.main([str(six_runs)]) == 0
    out = capsys.readouterr().out
    assert "6 runs: 4 finished, 1 failed, 1 damaged" in out
    (row,) = [line for line in out.splitlines() if "resl" in line and "84.00" in line]
    assert row.split()[1:4] == ["finished", "resl", "2"]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [500, 1200])
def test_a_browser_shows_it_all(report, tmp_path, width):
    assert CHROMIUM is not None
    script = (
        "<script>addEventListener('load', () => { document.body.dataset.seen = ["
        "document.documentElement.scrollWidth <= innerWidth, [...document.images].length, "
        "[...document.images].every(i => i.naturalWidth > 300)].join(' ') })</script></body>"
    )
    page = tmp_path / "page.html"
    page.write_text((report / "report.html").read_text().replace("</body>", script))
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run(
        [CHROMIUM, *options, page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen is not None
    assert seen[1] == "true 6 true"
