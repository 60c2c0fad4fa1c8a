"""Text in a page: whatever it holds is shown as it is, and nothing in it is run."""

from __future__ import annotations

from html import escape

import ipywidgets as W


class Text(W.HTML):
    """A paragraph that wraps. ``say`` is the only way in, and it escapes; a ``Label`` neither wraps nor leaves $ alone."""

    def __init__(self, content: str = "", *, hook: str = "", quiet: bool = False) -> None:
        super().__init__()
        self._style = "line-height:1.45;white-space:pre-line" + (
            ";opacity:.75;font-size:90%;margin-left:.6em" if quiet else ""
        )
        if hook:
            self.add_class(hook)
        self.say(content)

    def say(self, content: str) -> None:
        """Show ``content``, letter by letter as it is."""
        self.content = content
        self.value = f'<div style="{self._style}">{escape(content)}</div>' if content else ""
