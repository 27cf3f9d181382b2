"""Reports: a comparison in, text or a picture out. Only `files` reads or writes anything."""
