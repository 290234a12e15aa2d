"""Pages for people, each one HTML file: the report of a clip and the summary of a folder of clips."""
