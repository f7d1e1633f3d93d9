"""The page as a browser shows it: nothing wider than the window, nothing on the console, no script of the user run."""

import re
import shutil
import subprocess

import pytest

from trainwell.report import render

CHROMIUM = shutil.which("chromium-headless-shell")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium-headless-shell is not installed")

MEASURE = """
addEventListener("load", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const wide = [...document.querySelectorAll("body *")].filter((e) =>
    !e.closest(".scroll, pre, nav, svg") && e.getBoundingClientRect().right > innerWidth + 0.5);
  const names = wide.map((e) => e.tagName + e.className);
  document.title = JSON.stringify([innerWidth, document.documentElement.scrollWidth, ...names]);
});
"""


def with_script(page: str, script: str) -> str:
    """Return the page without its policy, which would forbid it, and with one more script."""
    return re.sub(r"<meta http-equiv=.*?>", "", page).replace("</body>", f"<script>{script}</script></body>")


def show(page: str, path, width: int, *flags: str) -> tuple[str, str]:
    """Return the title that the page gave itself, and what the browser wrote to its console."""
    path.write_text(page, encoding="utf-8", errors="replace")
    command = [
        str(CHROMIUM),
        "--no-sandbox",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        f"--window-size={width},2000",
        *flags,
    ]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=60)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    return title[1], "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(results, tmp_path, width):
    title, console = show(with_script(render(results), MEASURE), tmp_path / "page.html", width)
    assert title == f"[{width},{width}]"
    assert console == ""


def test_what_overflows_would_be_seen(kinds, tmp_path):  # control
    page = render(kinds["bare"]()).replace("<main>", "<main><p class='wide' style='width:500px'>wide</p>")
    assert show(with_script(page, MEASURE), tmp_path / "page.html", 390)[0] == '[390,516,"Pwide"]'


def test_own_script_runs_under_the_policy_and_foreign_does_not(kinds, tmp_path):
    page = render(kinds["hostile"]())
    title, console = show(page, tmp_path / "page.html", 800, "--blink-settings=preferredColorScheme=0")
    assert console == ""
    assert "alert" in title
    _, console = show(
        page.replace("</body>", "<script>document.title = 1</script></body>"), tmp_path / "page.html", 800
    )
    assert "Content Security Policy" in console


def test_theme_button_turns_dark_on_and_off(kinds, tmp_path):
    press = """
    addEventListener("load", () => {
      const seen = [getComputedStyle(document.body).backgroundColor];
      for (let i = 0; i < 2; i++) {
        document.getElementById("theme").click();
        seen.push(getComputedStyle(document.body).backgroundColor);
      }
      document.title = seen.join("|");
    });
    """
    page = with_script(render(kinds["pictures"]()), press)
    light, dark = "rgb(246, 247, 249)", "rgb(18, 22, 28)"
    assert show(page, tmp_path / "page.html", 800)[0] == f"{light}|{dark}|{light}"
    preferring_dark = show(page, tmp_path / "page.html", 800, "--blink-settings=preferredColorScheme=0")[0]
    assert preferring_dark == f"{dark}|{light}|{dark}"
