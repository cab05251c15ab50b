"""The context of an audit: what only a person can say of it, stated in a file and never inferred."""

from fmaudit.context.model import Context, card_of, is_stated

__all__ = ["Context", "card_of", "is_stated"]
