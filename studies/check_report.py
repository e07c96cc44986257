"""Opens reports in headless Chromium, wide and narrow, light and dark, and says what is wrong with them.

    pip install selenium          # and chromium with chromium-driver
    python studies/check_report.py target/tmp/made-up.html STUDY/report.html --pictures /tmp/pictures

Wrong is: a message in the console, a request to anywhere, a page wider than its window, a table that a wide window cuts, words that
stick out of a chart or are below 10 pixels, text with too little contrast (WCAG 2, 4.5 : 1), a file of 5 MB or more.
"""

import argparse
import itertools
import json
import pathlib
import shutil
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHECK = r"""
const problems = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth + 1) problems.push(`page is ${root.scrollWidth} wide in ${root.clientWidth}`);
const rgb = text => { const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
const luminance = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; }
  return rgb(getComputedStyle(document.body).backgroundColor); };
const seen = new Set();
for (const e of document.querySelectorAll('p, td, th, dd, dt, figcaption, summary, .legend span, .name, .value, svg text, h1, h2, h3, a, pre')) {
  if (!e.textContent.trim() || !e.getClientRects().length) continue;
  const style = getComputedStyle(e);
  if (parseFloat(style.fontSize) < 10) problems.push(`${e.tagName} of ${style.fontSize}`);
  const ink = rgb(e instanceof SVGElement ? style.fill : style.color), back = ground(e instanceof SVGElement ? e.closest('div, figure') : e);
  const [a, b] = [luminance(ink), luminance(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
  const key = ink + '|' + back;
  if (ratio < 4.5 && !seen.has(key)) { seen.add(key); problems.push(`contrast ${ratio.toFixed(1)}: ${e.tagName} "${e.textContent.trim().slice(0, 30)}"`); }
}
for (const text of document.querySelectorAll('svg text')) {
  const box = text.getBoundingClientRect();
  if (box.width && (box.left < -1 || box.right > root.clientWidth + 1)) problems.push(`words out of the page: "${text.textContent}"`);
}
if (root.clientWidth > 1000) for (const e of document.querySelectorAll('.scroll'))
  if (e.scrollWidth > e.clientWidth + 1) problems.push(`table of ${e.scrollWidth} in ${e.clientWidth}: "${e.textContent.trim().slice(0, 30)}"`);
return problems;
"""


def browser(width, scheme):
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.binary_location = shutil.which("chromium")
    # With the driver named, Selenium asks nothing of the network.
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return driver


def picture(driver, width, path):
    height = driver.execute_script("return document.documentElement.scrollHeight")
    for size in (height, 900):
        metrics = {"width": width, "height": size, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        if size == height:
            driver.save_screenshot(str(path))


def check(path, width, scheme, pictures):
    driver = browser(width, scheme)
    try:
        driver.get(path.resolve().as_uri())
        if pictures:
            picture(driver, width, pictures / f"{path.stem}-{width}-{scheme}.png")
        driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        problems = driver.execute_script(CHECK)
        problems += [f"console: {entry['message']}" for entry in driver.get_log("browser")]
        for entry in driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    problems.append(f"request to {url}")
        return problems
    finally:
        driver.quit()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", nargs="+", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for path, width, scheme in itertools.product(arguments.report, (1280, 400), ("light", "dark")):
        problems = check(path, width, scheme, arguments.pictures)
        if path.stat().st_size >= 5_000_000:
            problems.append(f"{path.stat().st_size} bytes")
        wrong += len(problems)
        print(f"{path} {width} {scheme}: {'; '.join(problems[:12]) or 'fine'}")
    sys.exit(bool(wrong))


main()
