"""Whether everybody can use a page: WCAG 2.2 AA, as far as axe-core finds what breaks it, and the width of a phone."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page

_AXE = Path(__file__).parent.parent / "node_modules/axe-core/axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


async def violations(page: Page) -> list[str]:
    """What axe finds wrong: the rule, the first elements that break it, and how."""
    await page.evaluate(_AXE.read_text())
    found = await page.evaluate("(tags) => axe.run(document, { runOnly: tags })", _TAGS)
    return [
        f"{rule['id']}: {', '.join(str(node['target']) for node in rule['nodes'][:5])}: "
        f"{rule['nodes'][0]['failureSummary']}"
        for rule in found["violations"]
    ]


async def fits(page: Page) -> bool:
    """Whether nothing makes the page wider than the screen."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
