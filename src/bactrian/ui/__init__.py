"""Pages for the browser, made with Gradio and served from this machine to this machine."""
