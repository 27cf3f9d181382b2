"""States of the project's files beside the session's own: taken, put into folders of their own, and what runs there stand on."""
