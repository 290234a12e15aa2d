"""Who showed what when: the timeline of a clip, its segments and summary, and the files that it is written to."""
