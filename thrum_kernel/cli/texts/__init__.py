"""What commands say to people: pure functions from the result of a method to lines of text, a module a subject."""
