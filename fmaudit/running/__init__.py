"""Carrying out a plan: subjects asked block by block, rows written as they come."""
