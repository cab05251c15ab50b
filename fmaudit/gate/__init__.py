"""An audit held against a policy: pass, fail or inconclusive. Pure, without torch."""
