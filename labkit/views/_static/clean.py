"""What matplotlib writes, made fit to stand inline in a page: no metadata, no global styles, own ids, own ink."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

INK = "#010203"
"""The colour that becomes ``currentColor``. No figure of ours uses it otherwise."""

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_ALLOWED = {"svg", "g", "defs", "path", "clipPath", "rect", "text", "tspan", "use", "image", "title", "desc"}
_FONT = re.compile(r"font:\s*(?:(bold|[1-9]00)\s+)?(?:italic\s+)?([\d.]+)px[^;]*")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")


def clean(raw: str, name: str, title: str, describe: str) -> str:
    """The SVG text of ``raw`` as one accessible element whose ids start with ``name``."""
    root = ET.fromstring(raw)
    prefix = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    _drop(root)
    wanted = _references(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if element.tag not in _ALLOWED:
            raise NotImplementedError(f"the SVG element {element.tag!r} in a report")
        element.attrib.update(_attributes(element, wanted, prefix))
    box = root.attrib["viewBox"]
    inner = [f'<title id="{prefix}-title">{_escape(title)}</title>']
    labels = f"{prefix}-title"
    if describe:
        inner.append(f'<desc id="{prefix}-desc">{_escape(describe)}</desc>')
        labels += f" {prefix}-desc"
    inner += [ET.tostring(child, encoding="unicode") for child in root]
    width = box.split()[2].removesuffix(".0")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{labels}" viewBox="{box}" '
        f'width="{width}" fill="currentColor" stroke-linejoin="round" font-family="system-ui, sans-serif">'
        + "".join(inner)
        + "</svg>\n"
    )


def _drop(root: ET.Element) -> None:
    """Remove metadata, and the style element, whose rule would reach the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (_SVG + "metadata", _SVG + "style"):
                parent.remove(child)
            else:
                child.tail = None
        if parent.tag not in (_SVG + "text", _SVG + "tspan"):
            parent.text = None


def _references(root: ET.Element) -> set[str]:
    found: set[str] = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            found.update(re.findall(r"url\(#([^)]+)\)", value))
            if key == _LINK and value.startswith("#"):
                found.add(value[1:])
    return found


def _attributes(element: ET.Element, wanted: set[str], prefix: str) -> dict[str, str]:
    """The element's attributes, with ids and references prefixed and the ink exchanged; empties ``attrib``."""
    kept = {}
    for key, value in element.attrib.items():
        if key == "id":
            if value in wanted:
                kept["id"] = f"{prefix}-{value}"
            continue
        if key == _LINK:
            kept["href"] = f"#{prefix}-{value[1:]}" if value.startswith("#") else value.replace("\n", "")
            continue
        value = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", value).replace(INK, "currentColor")
        kept[key] = _FAMILY.sub("", _FONT.sub(_font, value))
    element.attrib.clear()
    return kept


def _font(match: re.Match[str]) -> str:
    """Size and weight of a ``font`` shorthand: the family is the page's."""
    weight = {"bold": "700"}.get(match[1], match[1])
    return f"font-size: {match[2]}px" + (f"; font-weight: {weight}" if weight else "")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
