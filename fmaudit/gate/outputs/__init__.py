"""The gate's record in the formats of CI systems: pure functions of the record, model text inert in each."""
