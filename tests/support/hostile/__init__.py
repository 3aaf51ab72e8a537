"""Damaged and malicious files for every file that gruhw reads, and the check of what it does."""
