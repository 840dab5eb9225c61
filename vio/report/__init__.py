"""The report on runs: one page that needs no network, and its figures as files. Modules: subject (what is known of a run), figures, tables, page."""
