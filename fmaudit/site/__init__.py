"""Published audits: a static gallery of report pages, ready for any host. Pure, without torch."""
