"""What a run looks like in a notebook: its numbers as views and frames, as static HTML, and as figures.

``fmaudit.Run`` is the way in; nothing here needs torch.
"""
