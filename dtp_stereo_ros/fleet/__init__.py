"""Work in parts: by one process, by several, or by a Ray cluster; resumable."""
