def report_html(timeline, media_url=None):
    import html, json

    rows = timeline.columns()
    return f"<html><body><video controls src='{html.escape(media_url)}' width=300></video><pre>{html.escape(json.dumps(rows, indent=0))[:1500]}</pre></body></html>"
