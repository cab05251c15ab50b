"""The audit in the forms of other tools: model cards, bills of materials, records and result files.

Every export is a pure function of ``audit.json`` and the evidence: no model is asked,
nothing is fetched, and the same run gives the same bytes.
"""
