"""Embedded Signup: the script a page loads, the dialog a person clicks through, and what finishing makes."""
