"""The app in the browser, which is also the service that answers requests (CN110852215A)."""
